# rap_add_plugin(NAME SOURCES file... [LINK library...] [OUTPUT_DIRECTORY dir])
#
# Builds <dir>/NAME.so, a plugin that keeps rule P4: it exports rap_plugin_v<N> and nothing else, has no
# run path, and binds all its symbols when it is loaded. `dir` is ${RAP_PLUGIN_DIR}, or plugins/ in the
# build tree where that is not set. Include this one file from any project; the headers are found beside it.

function(rap_add_plugin name)
  cmake_parse_arguments(A "" "OUTPUT_DIRECTORY" "SOURCES;LINK" ${ARGN})
  if(A_UNPARSED_ARGUMENTS OR NOT A_SOURCES)
    message(FATAL_ERROR "rap_add_plugin(${name} SOURCES file... [LINK library...] [OUTPUT_DIRECTORY dir])")
  endif()
  if(NOT A_OUTPUT_DIRECTORY)
    set(A_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/plugins")
    if(RAP_PLUGIN_DIR)
      set(A_OUTPUT_DIRECTORY "${RAP_PLUGIN_DIR}")
    endif()
  endif()

  set(map "${CMAKE_CURRENT_BINARY_DIR}/${name}.map")
  file(CONFIGURE OUTPUT "${map}" CONTENT "{ global: rap_plugin_v*; local: *; };\n" @ONLY)

  add_library(${name} MODULE ${A_SOURCES})
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".so" OUTPUT_NAME "${name}" LIBRARY_OUTPUT_DIRECTORY "${A_OUTPUT_DIRECTORY}"
    POSITION_INDEPENDENT_CODE ON SKIP_BUILD_RPATH ON INSTALL_RPATH "" LINK_DEPENDS "${map}"
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_compile_features(${name} PRIVATE c_std_11 cxx_std_20)
  target_include_directories(${name} PRIVATE "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../include")
  # Unique symbols would be shared between plugins in spite of RTLD_LOCAL.
  target_compile_options(${name} PRIVATE "$<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>")
  target_link_options(${name} PRIVATE
    "LINKER:--version-script=${map}" LINKER:--exclude-libs,ALL LINKER:-z,relro LINKER:-z,now
    LINKER:-z,noexecstack LINKER:--build-id=sha1)
  # A sanitizer's runtime comes from the executable, so its symbols stay undefined here.
  if(NOT RAP_SANITIZE AND NOT "${CMAKE_C_FLAGS} ${CMAKE_CXX_FLAGS}" MATCHES "-fsanitize=")
    target_link_options(${name} PRIVATE LINKER:-z,defs)
  endif()
  target_link_libraries(${name} PRIVATE ${A_LINK})
endfunction()
