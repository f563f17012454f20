/*
 * sample_pool.cpp
 *
 * Memory: the pool, heads of hash chains by plan fingerprint, the order, entries,
 * data. Data is written one block after the other; what is given up leaves a
 * hole. When the end is reached, enough is given up for a sixteenth to be free,
 * and the rest moves together: so moving costs a byte of a sample 16 times its
 * length at most, however small the pool.
 *
 * Each bucket of duration keeps one pairing heap per group of roles (Fredman,
 * Sedgewick, Sleator, Tarjan 1986), the oldest on top. The fullest bucket gives
 * up its oldest; if one group holds more than half of the bucket, that group's
 * oldest: a role that runs ever new plans crowds out its own.
 */
#include "core/learn/sample_pool.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>

#include "core/hash.hpp"
#include "core/learn/sample_format.hpp"
#include "core/predict/log_scale.hpp"

namespace wlm {

namespace {

constexpr uint64_t kTypicalSampleBytes = 384; /* entries are reserved for samples of this length */
constexpr uint64_t kLeastPoolBytes = 16 * 1024; /* the largest plan fits */
constexpr uint64_t kSlackDivisor = 16;

constexpr uint64_t RoundUp(uint64_t bytes) noexcept { return (bytes + 7) & ~uint64_t{7}; }

/* By what is known of the time; a plan of which nothing is known counts as short. */
uint32_t DurationBucket(const Sample &sample) noexcept
{
	const float log_ms = sample.time_weight > 0 ? sample.log_ms : std::max(sample.log_ms_bound, kLeastLogMs);
	return static_cast<uint32_t>(std::clamp(static_cast<int>(std::floor(log_ms)) + 1, 0, kDurationBuckets - 1));
}

}  // namespace

SamplePool::Layout SamplePool::LayoutFor(uint64_t sample_bytes) noexcept
{
	Layout layout;
	const uint64_t capacity = std::min<uint64_t>(sample_bytes / kTypicalSampleBytes + 8, uint64_t{1} << 30);
	layout.capacity = static_cast<uint32_t>(capacity);
	layout.num_heads = std::bit_ceil(layout.capacity);
	layout.heads_at = RoundUp(sizeof(SamplePool));
	layout.order_at = layout.heads_at + layout.num_heads * sizeof(uint32_t);
	layout.entries_at = RoundUp(layout.order_at + capacity * sizeof(uint32_t));
	layout.data_at = layout.entries_at + capacity * sizeof(Entry);
	layout.end = layout.data_at + RoundUp(sample_bytes);
	return layout;
}

size_t SamplePool::BytesNeeded(size_t sample_bytes) noexcept
{
	return LayoutFor(std::max<uint64_t>(sample_bytes, kLeastPoolBytes)).end;
}

SamplePool *SamplePool::Init(std::span<std::byte> memory) noexcept
{
	if (memory.size() < BytesNeeded(0) || reinterpret_cast<uintptr_t>(memory.data()) % alignof(SamplePool) != 0)
		return nullptr;
	uint64_t fits = kLeastPoolBytes;
	for (uint64_t too_many = memory.size(); too_many - fits > 8;) {
		const uint64_t middle = std::midpoint(fits, too_many);
		(LayoutFor(middle).end <= memory.size() ? fits : too_many) = middle;
	}

	SamplePool *pool = std::construct_at(reinterpret_cast<SamplePool *>(memory.data()));
	pool->layout_ = LayoutFor(fits);
	pool->data_bytes_ = pool->layout_.end - pool->layout_.data_at;
	pool->data_end_ = pool->data_live_ = 0;
	pool->num_added_ = pool->num_given_up_ = 0;
	pool->size_ = 0;
	pool->free_ = 0;
	for (int i = 0; i < kDurationBuckets; i++) {
		std::fill_n(pool->counts_[i], kRoleGroups, 0u);
		std::fill_n(pool->roots_[i], kRoleGroups, kNone);
	}
	std::fill_n(pool->At<uint32_t>(pool->layout_.heads_at), pool->layout_.num_heads, kNone);
	for (uint32_t i = 0; i < pool->layout_.capacity; i++)
		pool->entries()[i].next = i + 1 < pool->layout_.capacity ? i + 1 : kNone;
	return pool;
}

int SamplePool::size() const noexcept { return static_cast<int>(size_); }
int64_t SamplePool::num_added() const noexcept { return num_added_; }
int64_t SamplePool::num_given_up() const noexcept { return num_given_up_; }

std::span<std::byte> SamplePool::Bytes(uint32_t entry) noexcept
{
	const Entry &of = entries()[entry];
	return {At<std::byte>(layout_.data_at + of.at + sizeof(Block)), of.bytes};
}

std::span<const std::byte> SamplePool::Encoded(int index) const noexcept
{
	if (index < 0 || index >= size())
		return {};
	const Entry &of = entries()[order()[index]];
	return {At<std::byte>(layout_.data_at + of.at + sizeof(Block)), of.bytes};
}

bool SamplePool::Get(int index, Sample *sample) const noexcept
{
	size_t used;
	return DecodeSample(Encoded(index), sample, &used) == SampleStatus::kOk;
}

uint32_t *SamplePool::Head(uint64_t fingerprint) noexcept
{
	return At<uint32_t>(layout_.heads_at) + (Mix(fingerprint) & (layout_.num_heads - 1));
}

uint32_t SamplePool::Find(uint64_t fingerprint) noexcept
{
	uint32_t entry = *Head(fingerprint);
	while (entry != kNone && entries()[entry].fingerprint != fingerprint)
		entry = entries()[entry].next;
	return entry;
}

/* A total order: fingerprints are distinct. */
bool SamplePool::IsOlder(uint32_t a, uint32_t b) const noexcept
{
	const Entry &x = entries()[a];
	const Entry &y = entries()[b];
	return x.last_seen != y.last_seen ? x.last_seen < y.last_seen : x.fingerprint < y.fingerprint;
}

/* Of two heaps, either may be empty; their tops have no siblings. */
uint32_t SamplePool::Meld(uint32_t a, uint32_t b) noexcept
{
	if (a == kNone || b == kNone)
		return a == kNone ? b : a;
	if (IsOlder(b, a))
		std::swap(a, b);
	Entry &top = entries()[a];
	Entry &under = entries()[b];
	under.sibling = top.child;
	under.previous = a;
	if (top.child != kNone)
		entries()[top.child].previous = b;
	top.child = b;
	return a;
}

/* What is left of a heap whose top is taken off: children are melded in pairs, then the pairs. */
uint32_t SamplePool::MeldChildren(uint32_t entry) noexcept
{
	const auto detach = [this](uint32_t child) {
		const uint32_t next = child == kNone ? kNone : entries()[child].sibling;
		if (child != kNone)
			entries()[child].sibling = entries()[child].previous = kNone;
		return next;
	};
	uint32_t pairs = kNone;
	for (uint32_t first = entries()[entry].child; first != kNone;) {
		const uint32_t second = detach(first);
		const uint32_t next = detach(second);
		const uint32_t pair = Meld(first, second);
		entries()[pair].sibling = pairs;
		pairs = pair;
		first = next;
	}
	entries()[entry].child = kNone;
	uint32_t rest = kNone;
	while (pairs != kNone) {
		const uint32_t next = detach(pairs);
		rest = Meld(rest, pairs);
		pairs = next;
	}
	return rest;
}

void SamplePool::PutInHeap(uint32_t entry) noexcept
{
	Entry &of = entries()[entry];
	of.child = of.sibling = of.previous = kNone;
	uint32_t &root = roots_[of.bucket][of.group];
	root = Meld(root, entry);
	counts_[of.bucket][of.group]++;
}

void SamplePool::TakeFromHeap(uint32_t entry) noexcept
{
	Entry &of = entries()[entry];
	uint32_t &root = roots_[of.bucket][of.group];
	counts_[of.bucket][of.group]--;
	if (root == entry) {
		root = MeldChildren(entry);
		return;
	}
	Entry &previous = entries()[of.previous];
	(previous.child == entry ? previous.child : previous.sibling) = of.sibling;
	if (of.sibling != kNone)
		entries()[of.sibling].previous = of.previous;
	of.sibling = of.previous = kNone;
	root = Meld(root, MeldChildren(entry));
}

void SamplePool::Describe(uint32_t entry, const Sample &sample) noexcept
{
	Entry &of = entries()[entry];
	of.role = sample.role;
	of.first_seen = sample.first_seen;
	of.last_seen = sample.last_seen;
	of.bytes = static_cast<uint32_t>(SampleBytes(sample));
	of.bucket = DurationBucket(sample);
	of.group = static_cast<uint32_t>(Mix(sample.role) % kRoleGroups);
}

void SamplePool::Add(const Sample &sample) noexcept
{
	num_added_++;
	const uint32_t entry = Find(sample.plan_fingerprint);
	if (entry == kNone)
		return Insert(sample);

	Sample folded;
	size_t used;
	if (DecodeSample(Bytes(entry), &folded, &used) == SampleStatus::kOk)
		FoldSample(&folded, sample);
	else
		folded = sample;
	const size_t room = BlockAt(entries()[entry].at)->bytes - sizeof(Block);
	if (SampleBytes(folded) > room) {
		Remove(entry);
		return Insert(folded);
	}
	TakeFromHeap(entry);
	Describe(entry, folded);
	EncodeSample(folded, Bytes(entry));
	PutInHeap(entry);
}

void SamplePool::Insert(const Sample &sample) noexcept
{
	const uint64_t block_bytes = RoundUp(sizeof(Block) + SampleBytes(sample));
	if (!MakeRoom(block_bytes)) {
		num_given_up_++;
		return;
	}
	const uint32_t entry = free_;
	Entry &of = entries()[entry];
	free_ = of.next;
	of.fingerprint = sample.plan_fingerprint;
	of.at = data_end_;
	*BlockAt(data_end_) = Block{entry, static_cast<uint32_t>(block_bytes)};
	data_end_ += block_bytes;
	data_live_ += block_bytes;

	Describe(entry, sample);
	EncodeSample(sample, Bytes(entry));
	uint32_t *head = Head(of.fingerprint);
	of.next = *head;
	*head = entry;
	of.place = size_;
	order()[size_++] = entry;
	PutInHeap(entry);
}

void SamplePool::Remove(uint32_t entry) noexcept
{
	TakeFromHeap(entry);
	Entry &of = entries()[entry];
	uint32_t *link = Head(of.fingerprint);
	while (*link != entry)
		link = &entries()[*link].next;
	*link = of.next;

	const uint32_t last = order()[--size_];
	order()[of.place] = last;
	entries()[last].place = of.place;

	Block *block = BlockAt(of.at);
	block->entry = kNone;
	data_live_ -= block->bytes;
	of.next = free_;
	free_ = entry;
}

/* False if it is larger than the whole pool. */
bool SamplePool::MakeRoom(uint64_t block_bytes) noexcept
{
	if (block_bytes > data_bytes_)
		return false;
	if (free_ == kNone)
		GiveUpOne();
	if (data_end_ + block_bytes <= data_bytes_)
		return true;
	const uint64_t wanted = block_bytes + std::min(data_bytes_ / kSlackDivisor, data_bytes_ - block_bytes);
	while (size_ > 0 && data_live_ + wanted > data_bytes_)
		GiveUpOne();
	Compact();
	return true;
}

void SamplePool::GiveUpOne() noexcept
{
	uint32_t fullest = 0;
	uint32_t most = 0;
	for (uint32_t bucket = 0; bucket < kDurationBuckets; bucket++) {
		const uint32_t count = std::accumulate(counts_[bucket], counts_[bucket] + kRoleGroups, 0u);
		if (count > most) {
			most = count;
			fullest = bucket;
		}
	}
	const uint32_t *counts = counts_[fullest];
	const uint32_t *roots = roots_[fullest];
	const ptrdiff_t largest = std::max_element(counts, counts + kRoleGroups) - counts;
	uint32_t oldest = roots[largest];
	if (counts[largest] <= most / 2)
		for (uint32_t group = 0; group < kRoleGroups; group++)
			if (roots[group] != kNone && IsOlder(roots[group], oldest))
				oldest = roots[group];
	num_given_up_++;
	Remove(oldest);
}

void SamplePool::Compact() noexcept
{
	uint64_t to = 0;
	for (uint64_t from = 0; from < data_end_;) {
		const Block block = *BlockAt(from);
		if (block.entry != kNone) {
			entries()[block.entry].at = to;
			std::memmove(BlockAt(to), BlockAt(from), block.bytes);
			to += block.bytes;
		}
		from += block.bytes;
	}
	data_end_ = to;
}

void SamplePool::Sort() noexcept
{
	std::sort(order(), order() + size_, [this](uint32_t a, uint32_t b) { return IsOlder(a, b); });
	NumberPlaces();
}

void SamplePool::SortByFirstSeen() noexcept
{
	std::sort(order(), order() + size_, [this](uint32_t a, uint32_t b) {
		const Entry &x = entries()[a];
		const Entry &y = entries()[b];
		return x.first_seen != y.first_seen ? x.first_seen < y.first_seen : x.fingerprint < y.fingerprint;
	});
	NumberPlaces();
}

void SamplePool::NumberPlaces() noexcept
{
	for (uint32_t i = 0; i < size_; i++)
		entries()[order()[i]].place = i;
}

void SamplePool::LimitRoles() noexcept
{
	static_assert(kMostRoleShare >= 0.5f, "below a half more than one role can be above it");
	/* whoever has more than half is what this vote leaves (Boyer and Moore 1981) */
	uint64_t leader = 0;
	uint32_t lead = 0;
	for (uint32_t i = 0; i < size_; i++) {
		const uint64_t role = entries()[order()[i]].role;
		if (lead == 0)
			leader = role;
		lead += role == leader ? 1 : UINT32_MAX; /* adds or takes one */
	}
	uint32_t votes = 0;
	for (uint32_t i = 0; i < size_; i++)
		votes += entries()[order()[i]].role == leader;
	const float others = static_cast<float>(size_ - votes);
	const float allowed = others * kMostRoleShare / (1 - kMostRoleShare);
	const bool exceeds = others > 0 && static_cast<float>(votes) > allowed;
	const float weight = exceeds ? allowed / static_cast<float>(votes) : 1.0f;
	for (uint32_t i = 0; i < size_; i++)
		ReweighEncodedSample(Bytes(order()[i]), entries()[order()[i]].role == leader ? weight : 1.0f);
}

}  // namespace wlm
