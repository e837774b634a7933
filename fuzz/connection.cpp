// SPDX-License-Identifier: MIT
// A whole exchange between a server and a client connection through the C API, over a wire that
// cuts, delays, damages and breaks, with programs on both sides that do everything at the wrong
// moment. What arrives is what was sent, and nothing is left behind.
#include <fcntl.h>
#include <unistd.h>

#include "connection_world.hpp"

using namespace nopoll;

namespace {

int lowest_free_descriptor() {
    const int fd = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    ::close(fd);
    return fd;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const int before = lowest_free_descriptor();
    {
        fuzz::Input input(data, size);
        fuzz::World world(input);
        world.run();
    }
    FUZZ_CHECK(lowest_free_descriptor() == before);
    return 0;
}
