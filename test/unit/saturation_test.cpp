/*
 * saturation_test.cpp
 *
 * What is read of processors, disks and stalls, on texts as Linux writes them and on made-up
 * trees of /proc and /sys; and what follows from two readings.
 */
#include "pg/machine/saturation.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

namespace wlm {
namespace {

constexpr const char *kStat =
	"cpu  3309630 192402 714249 2796931 12875 7 4023 5887 11 0\n"
	"cpu0 1 2 3 4 5 6 7 8 9 0\n"
	"intr 1 2 3\nctxt 5\nbtime 1\nprocesses 9\nprocs_running 4\nprocs_blocked 3\nsoftirq 1 2\n";

double Of(const Saturation &saturation, Resource resource)
{
	return static_cast<double>(saturation.of[static_cast<int>(resource)]);
}

TEST(ParseStat, AddsUpWhatProcessorsDid)
{
	LoadReading reading;
	ParseStat(kStat, &reading);
	EXPECT_EQ(reading.busy_ticks, 3309630 + 192402 + 714249 + 7 + 4023 + 5887);
	EXPECT_EQ(reading.waiting_ticks, 12875);
	EXPECT_EQ(reading.ticks, reading.busy_ticks + 2796931 + 12875);
	EXPECT_EQ(reading.running, 4);
	EXPECT_EQ(reading.blocked, 3);
}

TEST(ParseStat, KnowsNothingOfOtherTexts)
{
	for (const char *text : {"", "cpu", "cpu 1 2 3 4\n", "procs\n", "cpu a b c d e\nprocs_blockedX 7\n"}) {
		LoadReading reading;
		ParseStat(text, &reading);
		EXPECT_LT(reading.ticks, 0) << text;
		EXPECT_LT(reading.running, 0) << text;
		EXPECT_LT(reading.blocked, 0) << text;
	}
}

TEST(ParseStall, TakesTheTotalOfSome)
{
	EXPECT_EQ(ParseStallUs("some avg10=0.00 avg60=1.50 avg300=0.20 total=123456789\n"
	                       "full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"), 123456789);
	EXPECT_EQ(ParseStallUs("full avg10=0.00 total=5\n"), -1);
	EXPECT_EQ(ParseStallUs("some avg10=0.00\n"), -1);
	EXPECT_EQ(ParseStallUs(""), -1);
}

TEST(ParseCpuMax, IsInProcessors)
{
	EXPECT_EQ(ParseCpuMax("150000 100000\n"), 1.5);
	EXPECT_EQ(ParseCpuMax("max 100000\n"), -1);
	EXPECT_EQ(ParseCpuMax("0 100000\n"), -1);
	EXPECT_EQ(ParseCpuMax(""), -1);
}

class Between : public testing::Test {
  protected:
	Between()
	{
		before.processors = after.processors = 4;
		before.ticks = 1000;
		before.busy_ticks = 500;
		before.waiting_ticks = 100;
		after = before;
		after.ticks = 1400;
		after.running = 1;
		after.blocked = 0;
	}
	LoadReading before, after;
};

TEST_F(Between, ProcessorsAreFullWithTwiceAsManyProcesses)
{
	after.busy_ticks = 500;
	EXPECT_NEAR(Of(SaturationBetween(before, after, 1000), Resource::kCpu), 0.0, 1e-6);
	after.busy_ticks = 900;
	after.running = 5; /* the reader included */
	EXPECT_NEAR(Of(SaturationBetween(before, after, 1000), Resource::kCpu), 0.5, 1e-6);
	after.running = 9;
	EXPECT_NEAR(Of(SaturationBetween(before, after, 1000), Resource::kCpu), 1.0, 1e-6);
	after.running = 13;
	EXPECT_NEAR(Of(SaturationBetween(before, after, 1000), Resource::kCpu), 1.5, 1e-6);
	/* a moment in which nobody stood in line does not make a busy second an idle one */
	after.running = 1;
	EXPECT_NEAR(Of(SaturationBetween(before, after, 1000), Resource::kCpu), 0.5, 1e-6);
}

TEST_F(Between, WithoutTimesTheMomentCounts)
{
	after.running = 9;
	after.ticks = before.ticks = -1;
	EXPECT_NEAR(Of(SaturationBetween(before, after, 1000), Resource::kCpu), 1.0, 1e-6);
	after.running = -1;
	EXPECT_LT(Of(SaturationBetween(before, after, 1000), Resource::kCpu), 0);
}

TEST_F(Between, AGroupWithAQuotaIsFullBeforeTheHost)
{
	after.busy_ticks = 600; /* the host: a quarter of 4 processors */
	before.quota = after.quota = 0.5;
	before.group_us = 1000000;
	before.throttled_us = 0;
	after.group_us = 1500000;
	after.throttled_us = 0;
	EXPECT_NEAR(Of(SaturationBetween(before, after, 1000), Resource::kCpu), 0.5, 1e-6);
	after.throttled_us = 500000;
	EXPECT_NEAR(Of(SaturationBetween(before, after, 1000), Resource::kCpu), 1.0, 1e-6);
	after.group_us = 900000; /* begun anew */
	EXPECT_NEAR(Of(SaturationBetween(before, after, 1000), Resource::kCpu), 0.125, 1e-6);
}

TEST_F(Between, DisksAreFullWhenProcessorsIdleAndManyWait)
{
	after.busy_ticks = 500;
	after.waiting_ticks = 300; /* half of the time */
	after.blocked = 8;
	EXPECT_NEAR(Of(SaturationBetween(before, after, 1000), Resource::kIoWait), 1.0, 1e-6);
	after.blocked = 1; /* one process and a slow disk */
	EXPECT_NEAR(Of(SaturationBetween(before, after, 1000), Resource::kIoWait), 0.125, 1e-6);
	after.blocked = 80;
	after.waiting_ticks = 100; /* a moment */
	EXPECT_NEAR(Of(SaturationBetween(before, after, 1000), Resource::kIoWait), 0.0, 1e-6);
}

TEST_F(Between, StallsOfHostOrGroup)
{
	before.io_stall_us = before.memory_stall_us = 0;
	after.io_stall_us = 300000;
	after.memory_stall_us = 20000;
	before.group_memory_stall_us = 5;
	after.group_memory_stall_us = 100005;
	const Saturation saturation = SaturationBetween(before, after, 1000);
	EXPECT_NEAR(Of(saturation, Resource::kIoStall), 0.5, 1e-6);
	EXPECT_NEAR(Of(saturation, Resource::kMemoryStall), 0.5, 1e-6);
	EXPECT_LT(Of(saturation, Resource::kMemory), 0);
}

TEST_F(Between, NothingIsKnownOfNoTime)
{
	for (const float reading : SaturationBetween(before, after, 0).of)
		EXPECT_LT(reading, 0);
	EXPECT_EQ(Fullest(SaturationBetween(before, after, 0)), 0);
}

class SaturationTreeTest : public testing::Test {
  protected:
	SaturationTreeTest()
	{
		char folder[] = "/tmp/saturation_XXXXXX";
		root_ = mkdtemp(folder);
	}
	~SaturationTreeTest() override { std::filesystem::remove_all(root_); }

	void Write(const std::string &path, const std::string &text)
	{
		const std::filesystem::path file = root_ + path;
		std::filesystem::create_directories(file.parent_path());
		std::ofstream(file) << text;
	}

	std::string root_;
};

TEST_F(SaturationTreeTest, NothingThere)
{
	SaturationMeter meter(root_.c_str());
	meter.Measure(-1, 1000);
	for (const float reading : meter.Measure(-1, 2000).of)
		EXPECT_LT(reading, 0);
}

TEST_F(SaturationTreeTest, LowestQuotaOfNestedGroups)
{
	LoadGroups groups;
	Write("/proc/self/cgroup", "0::/system/postgres\n");
	Write("/sys/fs/cgroup/system/postgres/cpu.max", "400000 100000\n");
	Write("/sys/fs/cgroup/system/cpu.max", "150000 100000\n");
	Write("/sys/fs/cgroup/system/postgres/memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");
	FindLoadGroups(&groups, root_.c_str());
	EXPECT_EQ(groups.limited, root_ + "/sys/fs/cgroup/system");
	EXPECT_EQ(groups.pressure, root_ + "/sys/fs/cgroup/system/postgres");
	EXPECT_TRUE(groups.version_2);

	Write("/sys/fs/cgroup/system/cpu.stat",
	      "usage_usec 1000000\nuser_usec 1\nsystem_usec 1\nnr_periods 5\nnr_throttled 1\nthrottled_usec 9\n");
	LoadReading reading;
	ReadLoad(groups, &reading, root_.c_str());
	EXPECT_EQ(reading.quota, 1.5);
	EXPECT_EQ(reading.group_us, 1000000);
	EXPECT_EQ(reading.throttled_us, 9);
	EXPECT_EQ(reading.group_memory_stall_us, 7);
	EXPECT_LT(reading.group_io_stall_us, 0);
}

TEST_F(SaturationTreeTest, Version1)
{
	LoadGroups groups;
	Write("/proc/self/cgroup", "4:cpuset:/\n3:cpuacct:/box\n2:cpu:/box\n1:name=systemd:/box\n");
	Write("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "200000\n");
	Write("/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
	Write("/sys/fs/cgroup/cpu/box/cpu.stat", "nr_periods 5\nnr_throttled 1\nthrottled_time 3000000\n");
	Write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
	Write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	Write("/sys/fs/cgroup/cpuacct/box/cpuacct.usage", "7000000000\n");
	FindLoadGroups(&groups, root_.c_str());
	EXPECT_FALSE(groups.version_2);
	EXPECT_EQ(groups.limited, root_ + "/sys/fs/cgroup/cpu/box");

	LoadReading reading;
	ReadLoad(groups, &reading, root_.c_str());
	EXPECT_EQ(reading.quota, 2);
	EXPECT_EQ(reading.group_us, 7000000);
	EXPECT_EQ(reading.throttled_us, 3000);
}

TEST_F(SaturationTreeTest, SmoothedAndForgotten)
{
	SaturationMeter meter(root_.c_str());
	Write("/proc/stat", kStat);
	Write("/proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
	meter.Measure(0.5, 1000);
	Write("/proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=200000\n");
	Saturation saturation = meter.Measure(0.5, 2000);
	EXPECT_NEAR(Of(saturation, Resource::kMemoryStall), 0.4, 1e-6);
	EXPECT_NEAR(Of(saturation, Resource::kMemory), 0.5 * (1 - 0.36), 1e-6);
	EXPECT_NEAR(Fullest(saturation), 0.4, 1e-6);
	Write("/proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=400000\n");
	saturation = meter.Measure(-1, 3000);
	EXPECT_NEAR(Of(saturation, Resource::kMemoryStall), 0.64, 1e-6);
	EXPECT_LT(Of(saturation, Resource::kMemory), 0);
}

}  // namespace
}  // namespace wlm
