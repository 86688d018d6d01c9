# The engine against the reference model and the scenarios: the document read a second time.
add_library(veloz_reference STATIC
  engine_under_test.cpp
  order_flow.cpp
  reference_market.cpp
  reference_model.cpp
  reference_orders.cpp
  reference_text.cpp)
target_include_directories(veloz_reference PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(veloz_reference PUBLIC veloz_core)
# The model is slow on purpose; unoptimised as well it would take most of a debug run's time.
target_compile_options(veloz_reference PRIVATE $<$<CONFIG:Debug>:-O1>)

add_executable(differential_test differential_test.cpp)
target_link_libraries(differential_test PRIVATE veloz_reference)
add_executable(scenario_test scenario_test.cpp)
target_link_libraries(scenario_test PRIVATE veloz_reference)

# Under the sanitizers and without optimisation an order costs more, so fewer are played.
set(VELOZ_DIFFERENTIAL_ORDERS 100000)
if(VELOZ_SANITIZE)
  set(VELOZ_DIFFERENTIAL_ORDERS 30000)
endif()
add_test(NAME differential COMMAND differential_test ${VELOZ_DIFFERENTIAL_ORDERS})
add_test(NAME differential_notices_faults COMMAND differential_test --faults)
set_tests_properties(differential differential_notices_faults PROPERTIES TIMEOUT 300)

file(GLOB scenarios CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/scenarios/*.txt)
foreach(scenario IN LISTS scenarios)
  get_filename_component(name ${scenario} NAME_WE)
  add_test(NAME scenario_${name} COMMAND scenario_test ${scenario})
endforeach()
