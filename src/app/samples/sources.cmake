# Sources of the samples, relative to src/app.
set(APP_SAMPLES_SOURCES
  samples/phantom_ct.cpp samples/phantom_ultrasound.cpp samples/phantom_xray.cpp samples/sample_files.cpp samples/sample_people.cpp)
set(APP_SAMPLES_TESTS samples/sample_people_test.cpp)
