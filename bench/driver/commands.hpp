// What bench_driver does. tools/demo calls the first three in this order; each returns the program's exit status.
#pragma once

namespace wlm::bench {

// Measures each template alone and writes its time and CPU time: the classes short, medium and long, and the load, rest on it.
int Calibrate(int argc, char** argv);

// Warms up, then measures one system and writes facts and samples.
int Measure(int argc, char** argv);

// Prints measured systems side by side.
int Compare(int argc, char** argv);

// Prints systems under several memory budgets, each against the static work_mem that fits: bench/memory/run.
int MemoryReport(int argc, char** argv);

// Runs each template alternately with two sessions of different settings: bench/memory/regret and wrappers.
int Pairs(int argc, char** argv);

}  // namespace wlm::bench
