/*
 * machine_memory_test.cpp
 *
 * What the memory guard reads of host and control groups, on made-up trees of /proc
 * and /sys: both versions, nested limits, files that are missing, stalls.
 */
#include "pg/machine/machine_memory.hpp"
#include "pg/machine/small_files.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

namespace wlm {
namespace {

constexpr int64_t kMb = 1024; /* kB */

class MachineMemoryTest : public testing::Test {
  protected:
	MachineMemoryTest()
	{
		char folder[] = "/tmp/machine_memory_XXXXXX";
		root_ = mkdtemp(folder);
	}
	~MachineMemoryTest() override { std::filesystem::remove_all(root_); }

	void Write(const std::string &path, const std::string &text)
	{
		const std::filesystem::path file = root_ + path;
		std::filesystem::create_directories(file.parent_path());
		std::ofstream(file) << text;
	}
	void Remove(const std::string &path) { std::filesystem::remove(root_ + path); }

	void Host(int64_t total_mb, int64_t available_mb)
	{
		Write("/proc/meminfo", "MemTotal:       " + std::to_string(total_mb * kMb) + " kB\nMemFree:        1 kB\nMemAvailable:   " +
			std::to_string(available_mb * kMb) + " kB\n");
	}
	/* Version 2; `max` and `high` as the kernel writes them. */
	void Group(const std::string &path, const std::string &max, const std::string &high, int64_t current_mb, int64_t files_mb)
	{
		const std::string folder = "/sys/fs/cgroup" + path;
		Write(folder + "/memory.max", max + "\n");
		Write(folder + "/memory.high", high + "\n");
		Write(folder + "/memory.current", std::to_string(current_mb << 20) + "\n");
		Write(folder + "/memory.stat", "anon 1\nfile 2\ninactive_file " + std::to_string(files_mb << 19) + "\nactive_file " +
			std::to_string(files_mb << 19) + "\nslab_reclaimable 0\nslab 999999999\n");
	}
	void OldGroup(const std::string &path, const std::string &limit, int64_t usage_mb, int64_t files_mb)
	{
		const std::string folder = "/sys/fs/cgroup/memory" + path;
		Write(folder + "/memory.limit_in_bytes", limit + "\n");
		Write(folder + "/memory.usage_in_bytes", std::to_string(usage_mb << 20) + "\n");
		Write(folder + "/memory.stat", "inactive_file 1\nactive_file 1\ntotal_inactive_file " + std::to_string(files_mb << 20) +
			"\ntotal_active_file 0\n");
	}
	MemoryGroups Find()
	{
		MemoryGroups found;
		FindMemoryGroups(&found, root_.c_str());
		return found;
	}
	std::string FolderOf(const MemoryGroup &group) { return std::string(group.folder).substr(root_.size()); }
	MemoryReading Read() { return MachineMemory(root_.c_str()).Read(0); }

	std::string root_;
};

std::string Mb(int64_t mb) { return std::to_string(mb << 20); }

std::string Pressure(int64_t some_us, int64_t full_us)
{
	return "some avg10=1.00 avg60=0.50 avg300=0.10 total=" + std::to_string(some_us) +
		"\nfull avg10=0.50 avg60=0.20 avg300=0.00 total=" + std::to_string(full_us) + "\n";
}

TEST_F(MachineMemoryTest, NothingThereNothingKnown)
{
	EXPECT_EQ(Find().count, 0);
	const MemoryReading reading = Read();
	EXPECT_LE(reading.limit_kb, 0);
	EXPECT_EQ(reading.stalled, 0);
}

TEST_F(MachineMemoryTest, HostAlone)
{
	Host(8000, 3000);
	const MemoryReading reading = Read();
	EXPECT_EQ(reading.limit_kb, 8000 * kMb);
	EXPECT_EQ(reading.used_kb, 5000 * kMb);
}

TEST_F(MachineMemoryTest, Version2FromItsOwnGroupUp)
{
	Write("/proc/self/cgroup", "0::/system.slice/postgres.service\n");
	Group("/system.slice/postgres.service", "max", "max", 100, 0);
	Group("/system.slice", Mb(2000), "max", 900, 300);
	/* the root group has no limit file */
	Write("/sys/fs/cgroup/memory.stat", "anon 1\n");

	const MemoryGroups found = Find();
	ASSERT_EQ(found.count, 2);
	EXPECT_TRUE(found.groups[0].version_2);
	EXPECT_EQ(FolderOf(found.groups[0]), "/sys/fs/cgroup/system.slice/postgres.service");
	EXPECT_EQ(FolderOf(found.groups[1]), "/sys/fs/cgroup/system.slice");
	EXPECT_EQ(GroupLimitKb(found.groups[0]), -1);
	EXPECT_EQ(GroupLimitKb(found.groups[1]), 2000 * kMb);
	EXPECT_EQ(GroupUsedKb(found.groups[0]), 100 * kMb);
	EXPECT_EQ(GroupUsedKb(found.groups[1]), 600 * kMb) << "without page cache, and slab only as far as it is reclaimable";
}

TEST_F(MachineMemoryTest, TheLowerOfMaxAndHigh)
{
	Write("/proc/self/cgroup", "0::/a\n");
	const auto limit_of = [this](const char *max, const char *high) {
		Group("/a", max, high, 1, 0);
		return GroupLimitKb(Find().groups[0]);
	};
	EXPECT_EQ(limit_of("1073741824", "max"), 1024 * kMb);
	EXPECT_EQ(limit_of("max", "536870912"), 512 * kMb);
	EXPECT_EQ(limit_of("1073741824", "536870912"), 512 * kMb);
	EXPECT_EQ(limit_of("536870912", "1073741824"), 512 * kMb);
	EXPECT_EQ(limit_of("max", "max"), -1);
	Group("/a", "1073741824", "max", 1, 0);
	Remove("/sys/fs/cgroup/a/memory.high");
	EXPECT_EQ(GroupLimitKb(Find().groups[0]), 1024 * kMb);
}

TEST_F(MachineMemoryTest, WithoutStatTheUseIsUnknown)
{
	Host(8000, 7000);
	Write("/proc/self/cgroup", "0::/a\n");
	Group("/a", Mb(1000), "max", 990, 0);
	EXPECT_EQ(Read().limit_kb, 1000 * kMb);
	Remove("/sys/fs/cgroup/a/memory.stat");
	EXPECT_EQ(GroupUsedKb(Find().groups[0]), -1);
	EXPECT_EQ(Read().limit_kb, 8000 * kMb) << "page cache would look like pressure: better no reading than that";
	Group("/a", Mb(1000), "max", 990, 0);
	Remove("/sys/fs/cgroup/a/memory.current");
	EXPECT_EQ(GroupUsedKb(Find().groups[0]), -1);
}

TEST_F(MachineMemoryTest, TheFullestOfNestedGroups)
{
	Host(8000, 7000);
	Write("/proc/self/cgroup", "0::/outer/inner\n");
	Group("/outer/inner", Mb(2000), "max", 300, 0);
	Group("/outer", Mb(4000), "max", 3900, 0);
	EXPECT_EQ(Read().limit_kb, 4000 * kMb) << "others in the outer group have filled it";
	EXPECT_EQ(Read().used_kb, 3900 * kMb);
	Group("/outer", Mb(4000), "max", 400, 0);
	EXPECT_EQ(Read().limit_kb, 2000 * kMb);
	EXPECT_EQ(Read().used_kb, 300 * kMb);
	Host(8000, 100);
	EXPECT_EQ(Read().limit_kb, 8000 * kMb) << "the host itself is fullest";
	Host(8000, 7000);
	Group("/outer/inner", Mb(9000), "max", 8999, 0);
	Group("/outer", "max", "max", 9000, 0);
	EXPECT_EQ(Read().limit_kb, 8000 * kMb) << "limits above the host's memory are none";
}

TEST_F(MachineMemoryTest, Version1)
{
	Host(8000, 7000);
	Write("/proc/self/cgroup", "12:cpu,cpuacct:/x\n5:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/docker/abc\n");
	OldGroup("/docker/abc", Mb(1000), 800, 300);
	OldGroup("/docker", "9223372036854771712", 900, 0);
	OldGroup("", "9223372036854771712", 5000, 0);

	const MemoryGroups found = Find();
	ASSERT_EQ(found.count, 3);
	EXPECT_FALSE(found.groups[0].version_2);
	EXPECT_EQ(FolderOf(found.groups[0]), "/sys/fs/cgroup/memory/docker/abc");
	EXPECT_EQ(FolderOf(found.groups[2]), "/sys/fs/cgroup/memory");
	EXPECT_EQ(GroupLimitKb(found.groups[0]), 1000 * kMb);
	EXPECT_EQ(GroupUsedKb(found.groups[0]), 500 * kMb) << "of the group and those below it";
	EXPECT_EQ(Read().limit_kb, 1000 * kMb);
	EXPECT_EQ(Read().used_kb, 500 * kMb);
}

TEST_F(MachineMemoryTest, InAContainerThePathMayBeTheHosts)
{
	Write("/proc/self/cgroup", "5:memory:/docker/abc\n");
	OldGroup("", Mb(700), 100, 0);
	ASSERT_EQ(Find().count, 1);
	EXPECT_EQ(GroupLimitKb(Find().groups[0]), 700 * kMb);

	Write("/proc/self/cgroup", "0::/\n");
	Group("", Mb(600), "max", 100, 0);
	ASSERT_EQ(Find().count, 1);
	EXPECT_TRUE(Find().groups[0].version_2);
	EXPECT_EQ(GroupLimitKb(Find().groups[0]), 600 * kMb);
}

TEST_F(MachineMemoryTest, DeepNestingIsCutAtTheTop)
{
	std::string path;
	for (int i = 0; i < kMaxMemoryGroups + 4; i++) {
		path += "/g" + std::to_string(i);
		Group(path, Mb(100 + i), "max", 1, 0);
	}
	Write("/proc/self/cgroup", "0::" + path + "\n");
	const MemoryGroups found = Find();
	ASSERT_EQ(found.count, kMaxMemoryGroups);
	EXPECT_EQ(FolderOf(found.groups[0]), "/sys/fs/cgroup" + path);
	Write("/proc/self/cgroup", "0::/" + std::string(3000, 'x') + "\ngarbage\n:\n\n");
	EXPECT_EQ(Find().count, 0);
}

TEST_F(MachineMemoryTest, StallsAreTheFullLineOfWhatIsFullest)
{
	Host(8000, 7000);
	Write("/proc/pressure/memory", Pressure(900000, 100000));
	MachineMemory host(root_.c_str());
	EXPECT_EQ(host.Read(0).stalled, 0) << "nothing to compare with";
	Write("/proc/pressure/memory", Pressure(5000000, 300000));
	EXPECT_NEAR(host.Read(1000).stalled, 0.2, 1e-9);
	EXPECT_EQ(host.Read(2000).stalled, 0);
	Write("/proc/pressure/memory", Pressure(5000000, 99000000));
	EXPECT_EQ(host.Read(3000).stalled, 1);
	Write("/proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=99\n");
	EXPECT_EQ(host.Read(4000).stalled, 0) << "only some: others went on";
	Remove("/proc/pressure/memory");
	EXPECT_EQ(host.Read(5000).stalled, 0);
}

TEST_F(MachineMemoryTest, StallsOfTheGroupThatIsFullest)
{
	Host(8000, 7000);
	Write("/proc/pressure/memory", Pressure(0, 1000000));
	Write("/proc/self/cgroup", "0::/a\n");
	Group("/a", Mb(1000), "max", 100, 0);
	Write("/sys/fs/cgroup/a/memory.pressure", Pressure(0, 50000));
	MachineMemory memory(root_.c_str());
	EXPECT_EQ(memory.Read(0).stalled, 0);
	Write("/sys/fs/cgroup/a/memory.pressure", Pressure(0, 550000));
	EXPECT_NEAR(memory.Read(1000).stalled, 0.5, 1e-9);
	/* now the host is: its total is another one, and nothing follows from the difference */
	Host(8000, 1);
	EXPECT_EQ(memory.Read(2000).stalled, 0);
	Write("/proc/pressure/memory", Pressure(0, 1250000));
	EXPECT_NEAR(memory.Read(3000).stalled, 0.25, 1e-9);
}

TEST_F(MachineMemoryTest, GroupsAreLookedForAgain)
{
	Host(8000, 7000);
	MachineMemory memory(root_.c_str());
	EXPECT_EQ(memory.Read(0).limit_kb, 8000 * kMb);
	Write("/proc/self/cgroup", "0::/a\n");
	Group("/a", Mb(1000), "max", 900, 0);
	EXPECT_EQ(memory.Read(9000).limit_kb, 8000 * kMb);
	EXPECT_EQ(memory.Read(11000).limit_kb, 1000 * kMb);
}

TEST_F(MachineMemoryTest, NumbersOfLines)
{
	EXPECT_EQ(NumberOfLine("file 1\nactive_file 22\n", "active_file"), 22);
	EXPECT_EQ(NumberOfLine("inactive_file 1\n", "active_file"), -1) << "only at the beginning of a line";
	EXPECT_EQ(NumberOfLine("active_file_more 1\nactive_file: 3", "active_file"), 3);
	EXPECT_EQ(NumberOfLine("", "x"), -1);

	Write("/small", "12345");
	char text[4];
	EXPECT_EQ(ReadSmallFile((root_ + "/small").c_str(), text, sizeof text), 3);
	EXPECT_STREQ(text, "123");
	EXPECT_EQ(ReadSmallFile((root_ + "/none").c_str(), text, sizeof text), -1);
}

}  // namespace
}  // namespace wlm
