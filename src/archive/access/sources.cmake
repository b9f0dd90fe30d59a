# The rule of who may see what. Included by src/archive/CMakeLists.txt.
set(ARCHIVE_ACCESS_SOURCES access/evaluate.cpp access/node_away.cpp access/snapshot.cpp)
set(ARCHIVE_ACCESS_TESTS access/evaluate_test.cpp access/node_away_test.cpp access/evaluate_vectors_test.cpp)
