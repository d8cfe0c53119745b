# Compiler settings shared by every target, and the two functions that create targets.
#
#   rap_add_library(NAME sources... [LINK libs...] [PUBLIC_LINK libs...])
#   rap_add_executable(NAME sources... [LINK libs...])
#   rap_add_test(NAME sources... LINK libs... [LABELS unit|integration] [NEEDS postgres redis sshd])
#       NEEDS starts private servers beside the test; devtools/with_services.py names the variables that
#       tell the test where they are.
#   rap_add_fuzzer(NAME LINK libs...)   in tests/fuzz: NAME.cpp with LLVMFuzzerTestOneInput

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(RAP_PLUGIN_DIR "${CMAKE_BINARY_DIR}/plugins")
set(RAP_TEST_DIR "${CMAKE_BINARY_DIR}/tests")

set(RAP_SANITIZE "" CACHE STRING "Sanitizers for the whole tree, for example address,undefined")

find_program(RAP_CCACHE ccache)
if(RAP_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER "${RAP_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${RAP_CCACHE}")
endif()
find_program(RAP_MOLD mold)
if(RAP_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Werror=return-type)
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>")
add_compile_definitions(_GNU_SOURCE)
if(RAP_SANITIZE)
  add_compile_options(-fsanitize=${RAP_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${RAP_SANITIZE})
  add_library(sancov_shim STATIC "${CMAKE_SOURCE_DIR}/tests/fuzz/sancov_shim.c")
  set_target_properties(sancov_shim PROPERTIES POSITION_INDEPENDENT_CODE ON)
  link_libraries(sancov_shim)
else()
  add_compile_options(-fstack-protector-strong)
  add_compile_definitions("$<$<CONFIG:RelWithDebInfo>:_FORTIFY_SOURCE=2>")
  add_link_options(-Wl,-z,relro,-z,now)
endif()

# Asio and Beast are compiled once, in base/net/boost_impl.cpp.
add_compile_definitions(BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
                        BOOST_ASIO_NO_DEPRECATED)

find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(fmt REQUIRED)
find_package(tl-expected REQUIRED)
find_package(PkgConfig REQUIRED)

function(rap_add_library name)
  cmake_parse_arguments(A "" "" "LINK;PUBLIC_LINK" ${ARGN})
  add_library(${name} STATIC ${A_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PUBLIC "${CMAKE_SOURCE_DIR}")
  target_link_libraries(${name} PUBLIC ${A_PUBLIC_LINK} PRIVATE ${A_LINK})
endfunction()

function(rap_add_executable name)
  cmake_parse_arguments(A "" "" "LINK" ${ARGN})
  add_executable(${name} ${A_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${A_LINK})
endfunction()

function(rap_add_test name)
  cmake_parse_arguments(A "" "" "LINK;LABELS;NEEDS" ${ARGN})
  if(NOT A_LABELS)
    set(A_LABELS unit)
  endif()
  add_executable(${name} ${A_UNPARSED_ARGUMENTS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${RAP_TEST_DIR}")
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${A_LINK} GTest::gtest GTest::gtest_main)
  set(runner "")
  if(A_NEEDS)
    set(runner "${CMAKE_COMMAND}" -E env "PYTHONPATH=${CMAKE_SOURCE_DIR}" PYTHONDONTWRITEBYTECODE=1
               /usr/bin/python3 -m devtools.with_services ${A_NEEDS} --)
  endif()
  add_test(NAME ${name} COMMAND ${runner} $<TARGET_FILE:${name}>)
  set_tests_properties(${name} PROPERTIES LABELS "${A_LABELS}" TIMEOUT 120)
endfunction()
