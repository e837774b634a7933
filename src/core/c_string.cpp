// SPDX-License-Identifier: MIT
//
// malloc-backed C strings, see c_string.hpp.
#include "core/c_string.hpp"

#include "core/atomic_field.hpp"
#include "core/memory.hpp"

#include <cstring>

namespace nopoll::core {

char* duplicate(const char* text) {
    return text == nullptr ? nullptr : duplicate(std::string_view(text));
}

char* duplicate(std::string_view text) {
    MallocPtr<char[]> copy = allocate_bytes(text.size() + 1);
    if (!text.empty()) {
        std::memcpy(copy.get(), text.data(), text.size());
    }
    copy[text.size()] = '\0';
    return copy.release();
}

void replace(char*& field, const char* value) {
    std::free(exchange_field(field, duplicate(value)));
}

void replace(char*& field, std::string_view value) {
    std::free(exchange_field(field, duplicate(value)));
}

void release(char*& field) {
    std::free(exchange_field(field, nullptr));
}

std::optional<std::string> owned_copy(const char* field) {
    if (field == nullptr) {
        return std::nullopt;
    }
    return std::string(field);
}

}  // namespace nopoll::core
