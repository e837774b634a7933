// SPDX-License-Identifier: MIT
// See child.hpp.
#include "stress/child.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "stress/support.hpp"

namespace nopoll::stress {

Child::Child(const std::vector<std::string>& command) {
    int to_child[2];
    int from_child[2];
    REQUIRE(::pipe2(to_child, O_CLOEXEC) == 0 && ::pipe2(from_child, O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    REQUIRE(::posix_spawn_file_actions_init(&actions) == 0);
    REQUIRE(::posix_spawn_file_actions_adddup2(&actions, to_child[0], 0) == 0);
    REQUIRE(::posix_spawn_file_actions_adddup2(&actions, from_child[1], 1) == 0);
    std::vector<char*> arguments;
    for (const std::string& word : command)
        arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    REQUIRE(::posix_spawnp(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ) == 0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(to_child[0]);
    ::close(from_child[1]);
    input_ = to_child[1];
    output_ = from_child[0];
}

Child::~Child() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        (void)finish();
    }
}

std::string Child::line() {
    std::string text;
    char byte = 0;
    while (::read(output_, &byte, 1) == 1 && byte != '\n')
        text.push_back(byte);
    return text;
}

int Child::finish() {
    ::close(input_);
    while (!line().empty()) {
    }
    ::close(output_);
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, 0) == pid_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string python_with(const std::string& module) {
    for (const char* const python : {"/usr/bin/python3", "python3"}) {
        // A pipe keeps what it says of a missing module out of the test's output.
        Child child(
            {python, "-c",
             "import sys\ntry:\n import " + module + "\nexcept ImportError:\n sys.exit(1)"});
        if (child.finish() == 0) return python;
    }
    return "";
}

}  // namespace nopoll::stress
