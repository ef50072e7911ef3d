# SPDX-License-Identifier: Apache-2.0
# hf_library, hf_program and hf_test: one line a folder in the lists that use them.

option(HF_WERROR "Warnings are errors" OFF)
set(HF_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")

add_compile_definitions(_GNU_SOURCE HF_VERSION="${PROJECT_VERSION}")
add_compile_options(-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
                    -Wpointer-arith -Wundef -Wvla -Wformat=2 -fno-strict-aliasing
                    -fno-omit-frame-pointer)
if(HF_WERROR)
  add_compile_options(-Werror)
endif()
if(HF_SANITIZE)
  add_compile_options(-fsanitize=${HF_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${HF_SANITIZE})
endif()

# One folder (with the folders below it) = one static library hf_<last part of the folder's name>.
function(hf_library folder)
  cmake_parse_arguments(A "" "" "USES;LINK" ${ARGN})
  get_filename_component(name ${folder} NAME)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${folder}/*.c)
  if(NOT sources)
    file(WRITE ${CMAKE_BINARY_DIR}/empty/${name}.c "typedef int hf_empty_${name};\n")
    set(sources ${CMAKE_BINARY_DIR}/empty/${name}.c)
  endif()
  add_library(hf_${name} STATIC ${sources})
  target_include_directories(hf_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR})
  list(TRANSFORM A_USES PREPEND hf_)
  target_link_libraries(hf_${name} PUBLIC ${A_USES} ${A_LINK})
endfunction()

function(hf_program folder)
  cmake_parse_arguments(A "" "OUTPUT" "USES;LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.c)
  if(NOT sources)
    return()
  endif()
  add_executable(${A_OUTPUT} ${sources})
  list(TRANSFORM A_USES PREPEND hf_)
  target_link_libraries(${A_OUTPUT} PRIVATE ${A_USES} ${A_LINK})
endfunction()

# Each test_*.c of a folder is a program of its own and one entry of ctest, with the given labels.
# ONLY: those whose name matches. VIA: the command that runs them.
function(hf_tests folder)
  cmake_parse_arguments(A "" "TIMEOUT;ONLY" "USES;LINK;LABELS;VIA" ${ARGN})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300) # a test that hangs; some take a minute under ThreadSanitizer
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/test_*.c)
  if(A_ONLY)
    list(FILTER sources INCLUDE REGEX "/test_${A_ONLY}\\.c$")
  endif()
  string(REPLACE "/" "_" prefix ${folder})
  list(TRANSFORM A_USES PREPEND hf_)
  foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    string(REGEX REPLACE "^test_" "" short ${name})
    set(target ${prefix}_${short})
    add_executable(${target} ${source})
    target_link_libraries(${target} PRIVATE hf_testlib ${A_USES} ${A_LINK} PkgConfig::CMOCKA)
    add_test(NAME ${folder}/${short} COMMAND ${A_VIA} $<TARGET_FILE:${target}>)
    set_tests_properties(${folder}/${short} PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${A_TIMEOUT})
  endforeach()
endfunction()
