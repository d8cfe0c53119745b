# Precompiled headers. Half of a clean build is g++ reading the same 120,000 lines of the standard library and Boost.JSON once for
# each source. Asio is not among them: its headers refer to base/net, which lower layers do not link.
#
# Three sets: for libraries, for programs (with CLI11, and PIE), for tests (with GoogleTest, and PIE). A source still includes what
# it uses: the debug preset builds the tree without them.

# What ccache needs to see through a precompiled header.
add_compile_options("$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>")

# g++ 12 warns about operator+ of std::string, wrongly (GCC bug 105651), and tells that a header is the system's only while it reads it.
add_compile_options("$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-array-bounds;-Wno-restrict;-Wno-stringop-overflow;-Wno-stringop-overread>")

# One set serves targets that link these libraries and ones that do not, so all see their macros.
add_compile_definitions(BOOST_CONTAINER_DYN_LINK BOOST_CONTAINER_NO_LIB BOOST_JSON_DYN_LINK BOOST_JSON_NO_LIB FMT_SHARED
                        GTEST_HAS_PTHREAD=1)

set(RAP_PCH_COMMON
  <algorithm> <array> <atomic> <chrono> <condition_variable> <coroutine> <cstdint> <cstring> <deque> <exception> <filesystem>
  <functional> <list> <map> <memory> <mutex> <optional> <set> <span> <string> <string_view> <thread> <unordered_map> <utility>
  <variant> <vector>
  <fmt/format.h> <tl/expected.hpp> <boost/json.hpp>)

file(CONFIGURE OUTPUT "${CMAKE_BINARY_DIR}/precompiled.cpp" CONTENT "" @ONLY)
function(rap_precompile set pic)
  set(target rap_precompiled_${set})
  add_library(${target} OBJECT EXCLUDE_FROM_ALL "${CMAKE_BINARY_DIR}/precompiled.cpp")
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${target} PRIVATE ${pic})
  target_precompile_headers(${target} PRIVATE ${RAP_PCH_COMMON} ${ARGN})
endfunction()
rap_precompile(library -fPIC)
rap_precompile(program -fPIE <iostream> <CLI/CLI.hpp>)
rap_precompile(test -fPIE <gtest/gtest.h>)

function(rap_use_precompiled target set)
  target_precompile_headers(${target} REUSE_FROM rap_precompiled_${set})
endfunction()
