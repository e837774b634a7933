# SPDX-License-Identifier: MIT
# What is installed: headers, shared and static library, nopoll.pc and the CMake package.

include(CMakePackageConfigHelpers)

set(nopoll_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/nopoll")

set(nopoll_headers
    nopoll.h
    nopoll_config.h
    nopoll_conn.h
    nopoll_conn_opts.h
    nopoll_ctx.h
    nopoll_decl.h
    nopoll_ext.h
    nopoll_handlers.h
    nopoll_io.h
    nopoll_listener.h
    nopoll_log.h
    nopoll_loop.h
    nopoll_msg.h
    nopoll_private.h
    nopoll_win32.h)
list(TRANSFORM nopoll_headers PREPEND "${PROJECT_SOURCE_DIR}/include/nopoll/")

install(FILES ${nopoll_headers} DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/nopoll")

# Two export sets: only programs that link the static library need OpenSSL's own package.
install(TARGETS nopoll EXPORT nopoll-targets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(TARGETS nopoll_static EXPORT nopoll-static-targets
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
foreach(set nopoll-targets nopoll-static-targets)
    install(
        EXPORT ${set}
        NAMESPACE nopoll::
        DESTINATION "${nopoll_package_dir}")
endforeach()

# The run-time libraries that a C compiler does not add by itself when it links our archive.
set(nopoll_runtime_libs ${CMAKE_CXX_IMPLICIT_LINK_LIBRARIES})
list(REMOVE_ITEM nopoll_runtime_libs ${CMAKE_C_IMPLICIT_LINK_LIBRARIES})
list(REMOVE_DUPLICATES nopoll_runtime_libs)
list(TRANSFORM nopoll_runtime_libs PREPEND "-l" OUTPUT_VARIABLE nopoll_pc_libs_private)
list(APPEND nopoll_pc_libs_private ${CMAKE_THREAD_LIBS_INIT})
list(JOIN nopoll_pc_libs_private " " nopoll_pc_libs_private)

configure_package_config_file(
    "${PROJECT_SOURCE_DIR}/cmake/nopoll-config.cmake.in"
    "${PROJECT_BINARY_DIR}/nopoll-config.cmake"
    INSTALL_DESTINATION "${nopoll_package_dir}"
    NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(
    "${PROJECT_BINARY_DIR}/nopoll-config-version.cmake" COMPATIBILITY AnyNewerVersion)
install(FILES "${PROJECT_BINARY_DIR}/nopoll-config.cmake"
              "${PROJECT_BINARY_DIR}/nopoll-config-version.cmake"
        DESTINATION "${nopoll_package_dir}")

# nopoll.pc names the prefix, which "cmake --install --prefix" may still change: written then.
foreach(dir LIBDIR INCLUDEDIR)
    set(nopoll_pc_${dir} "${CMAKE_INSTALL_${dir}}")
    if(NOT IS_ABSOLUTE "${nopoll_pc_${dir}}")
        string(PREPEND nopoll_pc_${dir} "\\\${prefix}/")
    endif()
endforeach()
install(
    CODE "
    set(libdir \"${nopoll_pc_LIBDIR}\")
    set(includedir \"${nopoll_pc_INCLUDEDIR}\")
    set(description \"${PROJECT_DESCRIPTION}\")
    set(version \"${PROJECT_VERSION}\")
    set(libs_private \"${nopoll_pc_libs_private}\")
    configure_file(
        \"${PROJECT_SOURCE_DIR}/cmake/nopoll.pc.in\" \"${PROJECT_BINARY_DIR}/nopoll.pc\" @ONLY)")
install(FILES "${PROJECT_BINARY_DIR}/nopoll.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
