// SPDX-License-Identifier: MIT
// Which version of a file lies at a path, told by stat(2) alone, so that files which did not
// change need not be opened again.
#pragma once

#include <cstdint>
#include <string>

#include <sys/types.h>

namespace nopoll::net {

struct FileVersion {
    bool present = false;
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    std::int64_t modified_ns = 0;  // wall clock
    std::int64_t changed_ns = 0;   // inode change: catches a restored modification time

    bool operator==(const FileVersion&) const = default;

    // "" gives the empty version.
    [[nodiscard]] static FileVersion of(const std::string& path);

    // False while another change could still leave the very same time stamps behind: what was
    // read now must not be taken for the file's content later.
    [[nodiscard]] bool settled() const;
};

}  // namespace nopoll::net
