// The three things bench_driver does. tools/demo calls them in this order; each returns the program's exit status.
#pragma once

namespace wlm::bench {

// Measures each template alone and writes its time and CPU time: the classes short, medium and long, and the load, rest on it.
int Calibrate(int argc, char** argv);

// Warms up, then measures one system and writes facts and samples.
int Measure(int argc, char** argv);

// Prints measured systems side by side.
int Compare(int argc, char** argv);

}  // namespace wlm::bench
