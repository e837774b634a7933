# SPDX-License-Identifier: MIT
# Language level, warnings and sanitizers of our own code, on the target nopoll_flags.
# Flags of the environment (CFLAGS, CXXFLAGS, LDFLAGS) are CMake's own business and stay as they are.

include(CheckLinkerFlag)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE
        RelWithDebInfo
        CACHE STRING "Kind of build" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(NOPOLL_CCACHE ccache)
mark_as_advanced(NOPOLL_CCACHE)
if(NOPOLL_CCACHE)
    foreach(language C CXX)
        if(NOT DEFINED CMAKE_${language}_COMPILER_LAUNCHER)
            set(CMAKE_${language}_COMPILER_LAUNCHER "${NOPOLL_CCACHE}")
        endif()
    endforeach()
endif()

# What every object and every test program is compiled and linked with.
set(nopoll_sanitizer_options)
if(NOPOLL_SANITIZE)
    list(APPEND nopoll_sanitizer_options "-fsanitize=${NOPOLL_SANITIZE}"
         -fno-sanitize-recover=all -fno-omit-frame-pointer)
    # The vptr check makes a pipe to probe memory: it cries wolf in tests that exhaust descriptors.
    if(NOPOLL_SANITIZE MATCHES "undefined")
        list(APPEND nopoll_sanitizer_options -fno-sanitize=vptr)
    endif()
endif()
if(NOPOLL_BUILD_FUZZERS)
    if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "NOPOLL_BUILD_FUZZERS needs clang (CMAKE_CXX_COMPILER=clang++)")
    endif()
    list(APPEND nopoll_sanitizer_options -fsanitize=fuzzer-no-link)
endif()

add_library(nopoll_flags INTERFACE)
target_compile_options(
    nopoll_flags
    INTERFACE -Wall
              -Wextra
              -Wpedantic
              -Wshadow
              -Wconversion
              $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast>
              $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>
              $<$<BOOL:${NOPOLL_WERROR}>:-Werror>
              ${nopoll_sanitizer_options})
target_link_options(nopoll_flags INTERFACE ${nopoll_sanitizer_options})

# A name in the version script that nothing defines, and a symbol that no library provides, are
# errors. clang leaves the sanitizer's own symbols to the program, so there the second check is off.
set(nopoll_strict_link_options)
check_linker_flag(CXX "LINKER:--no-undefined-version" nopoll_linker_has_no_undefined_version)
if(nopoll_linker_has_no_undefined_version)
    list(APPEND nopoll_strict_link_options "LINKER:--no-undefined-version")
endif()
if(NOT (nopoll_sanitizer_options AND CMAKE_CXX_COMPILER_ID MATCHES "Clang"))
    list(APPEND nopoll_strict_link_options "LINKER:-z,defs")
endif()
