// SPDX-License-Identifier: MIT
// Messages that can be checked by whoever gets them: a line of text that says who sent it, the how
// many-eth it is and how it goes on. A frame that was torn or mixed with another cannot pass.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "stress/support.hpp"

namespace nopoll::stress {

struct Note {
    unsigned sender = 0;
    unsigned number = 0;
    unsigned fill = 0;  // characters behind the head
};

// The n-th filling character depends on all of the head.
inline char filling(const Note& note, std::size_t at) {
    return static_cast<char>('a' + (note.sender * 7 + note.number * 3 + at) % 26);
}

inline std::string write_note(const Note& note) {
    char head[64];
    const int size =
        std::snprintf(head, sizeof head, "%u %u %u:", note.sender, note.number, note.fill);
    std::string text(head, static_cast<std::size_t>(size));
    text.reserve(text.size() + note.fill);
    for (std::size_t i = 0; i < note.fill; ++i)
        text.push_back(filling(note, i));
    return text;
}

// False: this is none of ours, or damaged.
inline bool read_note(std::string_view text, Note& note) {
    const std::string head(text.substr(0, text.find(':')));
    if (std::sscanf(head.c_str(), "%u %u %u", &note.sender, &note.number, &note.fill) != 3)
        return false;
    if (text.size() != head.size() + 1 + note.fill) return false;
    const std::string_view fill = text.substr(head.size() + 1);
    for (std::size_t i = 0; i < fill.size(); ++i)
        if (fill[i] != filling(note, i)) return false;
    return true;
}

}  // namespace nopoll::stress
