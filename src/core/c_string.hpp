// SPDX-License-Identifier: MIT
//
// C strings in face fields: malloc'ed, 0-terminated, owned by the object. NULL means "not set".
// The functions do not lock; the owner of the field does.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace nopoll::core {

// Copy of the text, nullptr for nullptr; throws std::bad_alloc.
[[nodiscard]] char* duplicate(const char* text);

// Copy up to the end of the view. A 0 byte inside stays inside: C readers see the part before it.
[[nodiscard]] char* duplicate(std::string_view text);

// Copies first and frees the old value afterwards: the value may be (part of) the field's own text,
// and a failed allocation leaves the field as it was.
void replace(char*& field, const char* value);
void replace(char*& field, std::string_view value);

// Frees the text and leaves nullptr.
void release(char*& field);

// The field's text as an owned value; nullopt for nullptr.
[[nodiscard]] std::optional<std::string> owned_copy(const char* field);

}  // namespace nopoll::core
