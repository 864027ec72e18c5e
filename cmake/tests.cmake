# test/unit/FOLDER/test_FILE.c: one cmocka program each, linked with its layer and test/lib.
# test_FILE_oom.c is linked with malloc, calloc and realloc wrapped.
file(GLOB TEST_LIB CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/test/lib/*.c)
function(dsmr_tests label pattern)
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${pattern})
  foreach(test ${tests})
    get_filename_component(name ${test} NAME_WE)
    add_executable(${name} ${test})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/test)
    target_link_libraries(${name} PRIVATE ${ARGN} cmocka)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
    add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES LABELS "${label}" TIMEOUT 1200)
    if(name MATCHES "_oom$") # counts allocations and fails them on demand
      target_link_options(${name} PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
    endif()
    if("threads" IN_LIST label)
      add_dependencies(threaded_tests ${name})
    endif()
  endforeach()
endfunction()
add_custom_target(threaded_tests) # what runs under ThreadSanitizer
foreach(layer base crypto wire core bft vm driver store host net client api)
  set(extra "")
  if(layer MATCHES "^(crypto|wire|client|api|net|store)$")
    set(extra jansson)
  elseif(layer STREQUAL vm OR layer STREQUAL driver)
    set(extra dsmr_kv_mem jansson)
  endif()
  set(label unit)
  if(layer MATCHES "^(base|store|host|net|driver|client|api)$")
    list(APPEND label threads)
  endif()
  dsmr_tests("${label}" "test/unit/${layer}/test_*.c" dsmr_${layer} ${extra})
endforeach()
dsmr_tests(unit "test/unit/sim/test_*.c" dsmr_sim)
if(TARGET dsmr_app)
  dsmr_tests("unit;threads" "test/unit/app/test_*.c" dsmr_app jansson)
endif()
if(TARGET dsmr_plugin)
  dsmr_tests(unit "test/unit/avalanche/test_*.c" dsmr_avalanche jansson)
  dsmr_tests(unit "test/unit/plugin/test_*.c" dsmr_plugin)
endif()
# test/vectors/check_NAME.py: the vectors once more, derived from the documents alone.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
file(GLOB VECTOR_CHECKS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/test/vectors/check_*.py)
foreach(check ${VECTOR_CHECKS})
  get_filename_component(name ${check} NAME_WE)
  add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} -B ${check})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 1200)
endforeach()
# Stories on a cluster of pure nodes.
if(TEST_LIB)
  add_library(dsmr_test_lib STATIC ${TEST_LIB})
  target_include_directories(dsmr_test_lib PUBLIC ${CMAKE_SOURCE_DIR}/test)
  target_link_libraries(dsmr_test_lib PUBLIC dsmr_sim cmocka)
  dsmr_tests(scenario "test/scenario/test_*.c" dsmr_test_lib)
endif()
# test/e2e/test_NAME.{py,sh}: real processes of this build, told where by DSMR_BIN and DSMR_BUILD.
# Only in release builds. dsmrd_watched: dsmrd's archives with watch_fsync.c between them and what is
# below; for liblmdb to find its fdatasync, that has to be seen from outside.
add_custom_target(e2e_helpers)
add_executable(dsmrd_watched EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/src/app/dsmrd_main.c
  ${CMAKE_SOURCE_DIR}/test/e2e/watch_fsync.c)
set_target_properties(dsmrd_watched PROPERTIES C_VISIBILITY_PRESET default
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/e2e)
target_link_libraries(dsmrd_watched PRIVATE dsmr_app dl)
target_link_options(dsmrd_watched PRIVATE
  LINKER:--wrap=SSL_read_ex,--wrap=SSL_write_ex,--wrap=SSL_free)
add_dependencies(e2e_helpers dsmrd_watched)
if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  file(GLOB E2E_TESTS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/test/e2e/test_*.py
    ${CMAKE_SOURCE_DIR}/test/e2e/test_*.sh)
  foreach(test ${E2E_TESTS})
    get_filename_component(name ${test} NAME_WE)
    add_test(NAME e2e_${name} COMMAND ${test} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(e2e_${name} PROPERTIES LABELS e2e TIMEOUT 900 RUN_SERIAL ON
      SKIP_RETURN_CODE 77
      ENVIRONMENT "DSMR_BIN=${CMAKE_BINARY_DIR}/bin;DSMR_BUILD=${CMAKE_BINARY_DIR}")
  endforeach()
  set_tests_properties(e2e_test_sim_seeds PROPERTIES TIMEOUT 3600) # minutes of processor time
endif()
# test/interop/avalanche: nodes of AvalancheGo start this build's plugin. The tests are in Go;
# tools/avalanche.sh builds them and the node, and says when it cannot. Only in release builds.
if(TARGET dsmr_plugin AND CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  # The plugin once more, for another AvalancheGo.
  add_executable(dsmr-avalanche-44 EXCLUDE_FROM_ALL ${PLUGIN_SOURCES} src/plugin/plugin_main.c)
  target_compile_definitions(dsmr-avalanche-44 PRIVATE DSMR_RPCCHAINVM=44)
  target_link_libraries(dsmr-avalanche-44 PRIVATE dsmr_app dsmr_avalanche)
  set_target_properties(dsmr-avalanche-44 PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/interop)
  foreach(group Plugin Lone Late Five)
    add_test(NAME interop_avalanche_${group} COMMAND tools/avalanche.sh test ^Test${group}
      WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  endforeach()
  add_test(NAME interop_avalanche_Docs COMMAND test/interop/avalanche/test_docs.py
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  foreach(group Plugin Lone Late Five Docs)
    set_tests_properties(interop_avalanche_${group} PROPERTIES LABELS interop TIMEOUT 1200
      RUN_SERIAL ON SKIP_RETURN_CODE 77
      ENVIRONMENT "DSMR_BIN=${CMAKE_BINARY_DIR}/bin;DSMR_BUILD=${CMAKE_BINARY_DIR}")
  endforeach()
endif()
