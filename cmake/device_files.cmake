# SPDX-License-Identifier: Apache-2.0
# device_files(VARIABLE): every .cu file below csrc/ and all that these include in quotes, directly
# or not, relative to csrc/. What is not there is meant for another compiler.
function(device_files variable)
  set(root ${CMAKE_SOURCE_DIR}/csrc)
  file(GLOB_RECURSE ahead CONFIGURE_DEPENDS RELATIVE ${root} ${root}/*.cu)
  set(found "")
  while(ahead)
    list(POP_FRONT ahead file)
    if(file IN_LIST found OR NOT EXISTS ${root}/${file})
      continue()
    endif()
    list(APPEND found ${file})
    # Another #include may add a file.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${root}/${file})
    file(STRINGS ${root}/${file} lines REGEX "^[ \t]*#[ \t]*include[ \t]*\"")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "^[^\"]*\"([^\"]*)\".*" "\\1" name "${line}")
      list(APPEND ahead ${name})
    endforeach()
  endwhile()
  set(${variable} ${found} PARENT_SCOPE)
endfunction()
