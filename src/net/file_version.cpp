// SPDX-License-Identifier: MIT
// stat(2) as a fingerprint of a file.
#include "net/file_version.hpp"

#include <ctime>

#include <sys/stat.h>

namespace nopoll::net {

namespace {

constexpr std::int64_t kSecondNs = 1000000000;

std::int64_t in_ns(const timespec& time) {
    return std::int64_t{time.tv_sec} * kSecondNs + time.tv_nsec;
}

}  // namespace

FileVersion FileVersion::of(const std::string& path) {
    FileVersion version;
    struct stat status {};
    if (path.empty() || stat(path.c_str(), &status) != 0) return version;
    version.present = true;
    version.device = status.st_dev;
    version.inode = status.st_ino;
    version.size = status.st_size;
    version.modified_ns = in_ns(status.st_mtim);
    version.changed_ns = in_ns(status.st_ctim);
    return version;
}

bool FileVersion::settled() const {
    if (!present) return true;
    // Time stamps advance with the kernel's tick (up to 10 ms), on some file systems by seconds.
    const bool whole_seconds = changed_ns % kSecondNs == 0;
    const std::int64_t granularity_ns = whole_seconds ? 2 * kSecondNs : 50000000;
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    const std::int64_t age_ns = in_ns(now) - changed_ns;
    return age_ns > granularity_ns || age_ns < -granularity_ns;  // far in the future: another clock
}

}  // namespace nopoll::net
