# Superstream's own functions (superstream.h), which live in its librdkafka.
include("${CMAKE_CURRENT_LIST_DIR}/../RdKafka/RdKafkaConfig.cmake")

if(NOT TARGET Superstream::superstream)
  add_library(Superstream::superstream INTERFACE IMPORTED)
  set_target_properties(Superstream::superstream PROPERTIES
    INTERFACE_LINK_LIBRARIES RdKafka::rdkafka)
endif()
