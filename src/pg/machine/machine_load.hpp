/*
 * machine_load.hpp
 *
 * How busy Linux says that processors and disks are: /proc/stat, pressure stall
 * information (PSI), and the control groups that limit this process. The texts are
 * taken apart by pure functions, and what follows from two readings is computed by another
 * one, so that all of it can be tested on made-up texts. No allocation.
 */
#pragma once

#include <cstdint>

#include "core/decide/policy/policy.hpp"

namespace wlm {

inline constexpr int kLoadPathLength = 512;

/* Negative = not known, wherever nothing else is said. Times count from boot, or from when the group was made. */
struct LoadReading {
	double processors = -1;     /* online */
	double ticks = -1;          /* of all processors, whatever they did; of an unknown length */
	double busy_ticks = -1;     /* stolen ones included: they were wanted */
	double waiting_ticks = -1;  /* idle while a process waited for a disk */
	double running = -1;        /* processes that run or could, the reader included */
	double blocked = -1;        /* processes that wait for a disk */
	double quota = -1;          /* processors that the group may use; no limit if negative */
	double group_us = -1;       /* processor time that the limited group has used */
	double throttled_us = -1;   /* time for which its processes were held back, summed over processors */
	double io_stall_us = -1;    /* in which some process of the machine was stopped for want of it; so the next */
	double memory_stall_us = -1;
	double group_io_stall_us = -1; /* some process of the own group */
	double group_memory_stall_us = -1;
};

/* Where the groups of this process are; empty = there is none. */
struct LoadGroups {
	char limited[kLoadPathLength]; /* with the lowest quota of processors, of the own one and those above it */
	char usage[kLoadPathLength];   /* version 1 may account elsewhere */
	bool version_2;
	char pressure[kLoadPathLength]; /* version 2: the own group */
};

/* Texts of /proc/stat, PSI (the line "some"), cpu.max. */
void ParseStat(const char *text, LoadReading *reading) noexcept;
double ParseStallUs(const char *text) noexcept;
double ParseCpuMax(const char *text) noexcept;      /* processors; -1 = no limit */

/* `root`: where /proc and /sys are; tests make their own. */
void FindLoadGroups(LoadGroups *groups, const char *root = "") noexcept;
void ReadLoad(const LoadGroups &groups, LoadReading *reading, const char *root = "") noexcept;

/* What of the machine was how full between two readings, Resource::kMemory aside; see machine_load.cpp for what 1 stands for. */
Saturation SaturationBetween(const LoadReading &before, const LoadReading &after, double elapsed_ms) noexcept;

}  // namespace wlm
