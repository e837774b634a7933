// SPDX-License-Identifier: MIT
// Enumerations of the C API at its edges. A C program may pass any int, and a good deal is
// documented for numbers that are no enumerators; C++ must not even read such a value as its type.
// So exported functions take the number out first, and the rest of the library works with ints.
#pragma once

#include <cstring>

namespace nopoll::core {

template <class Enum>
[[nodiscard]] int number_of(const Enum& value) {
    static_assert(sizeof(Enum) == sizeof(int));
    int number = 0;
    std::memcpy(&number, &value, sizeof number);
    return number;
}

// Handed back to the program. Compilers keep the number as it is (but for -fstrict-enums).
template <class Enum>
[[nodiscard]] Enum enum_of(int number) {
    return static_cast<Enum>(number);
}

}  // namespace nopoll::core
