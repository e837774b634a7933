// SPDX-License-Identifier: MIT
// A Python program as a child process: a line of its output, and its end.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace nopoll::stress {

class Child {
public:
    // Runs with stdin and stdout connected to us.
    explicit Child(const std::vector<std::string>& command);
    ~Child();  // ends it if it still runs
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    // The next line without its end; "" when the output is over.
    std::string line();
    // Closes its stdin, waits, gives the exit status (128 + signal).
    int finish();

private:
    pid_t pid_ = -1;
    int input_ = -1;
    int output_ = -1;
};

// The Python that has the module, or "" when there is none.
[[nodiscard]] std::string python_with(const std::string& module);

}  // namespace nopoll::stress
