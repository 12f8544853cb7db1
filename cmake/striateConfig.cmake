# SPDX-License-Identifier: Apache-2.0
# find_package(striate) for C and C++: the target striate::striate.
get_filename_component(_striate_root "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)
if(NOT TARGET striate::striate)
  add_library(striate::striate SHARED IMPORTED)
  set_target_properties(striate::striate PROPERTIES
    IMPORTED_LOCATION "${_striate_root}/lib/libstriate.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_striate_root}/include")
endif()
unset(_striate_root)
