/*
 * executor_model.hpp
 *
 * A toy of PostgreSQL's executor for the tests of lifetimes: it pulls rows
 * through a plan in PostgreSQL's order (ExecProcNode, one process), builds what
 * blocking operators build, frees what Lifetimes say is freed, and reports each set of
 * operators that is alive together. It also fails when an operator is asked again
 * after it was freed. Written from the executor's sources, not from lifetimes.cpp.
 */
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "core/grant/lifetimes.hpp"
#include "plan_builder.hpp"

namespace wlm::test {

class ExecutorModel {
  public:
	ExecutorModel(const PlanGraph &graph, const Lifetimes &lifetimes, uint32_t seed, std::function<void(SlotSet)> observe)
		: graph_(graph), lifetimes_(lifetimes), random_(seed), observe_(std::move(observe)), states_(graph.num_nodes)
	{
	}

	/* False if a freed operator was asked for rows. */
	bool Run()
	{
		while (Next(0))
			;
		Observe();
		return valid_;
	}
	SlotSet alive() const { return alive_; }

  private:
	struct State {
		bool open = false, done = false, freed = false, init_done = false;
		int left = 0;      /* rows that a leaf or blocking operator will still return */
		bool stash = false, stash_inner = false;
		size_t at = 0;
		std::vector<int> order;
		std::vector<bool> primed;
	};

	int Pick(int most) { return std::uniform_int_distribution<int>(0, most)(random_); }
	void Observe() { observe_(alive_); }
	const PlanNode &At(int index) const { return graph_.nodes[index]; }

	std::vector<int> Children(int parent, std::initializer_list<NodeRole> roles) const
	{
		std::vector<int> found;
		for (int i = parent + 1; i < graph_.num_nodes; i++)
			for (NodeRole role : roles)
				if (At(i).parent == parent && At(i).role == role)
					found.push_back(i);
		return found;
	}
	int Child(int parent, NodeRole role) const
	{
		const std::vector<int> found = Children(parent, {role});
		return found.empty() ? -1 : found[0];
	}

	void Build(int index)
	{
		if (At(index).memory_slot == kNoNode)
			return;
		if (states_[index].freed)
			valid_ = false;
		alive_ |= SlotSet{1} << At(index).memory_slot;
		Observe();
	}

	/* The input of this operator has come to its end. */
	void FreeBelow(int index)
	{
		for (int i = index + 1; i < graph_.num_nodes; i++) {
			const int16_t slot = At(i).memory_slot;
			if (slot == kNoNode || At(index).memory_slot == kNoNode || lifetimes_.released_by[slot] != At(index).memory_slot)
				continue;
			alive_ &= ~(SlotSet{1} << slot);
			states_[i].freed = true;
		}
	}

	/* Everything below begins anew; what was built stays allocated. */
	void Rescan(int index)
	{
		for (int i = index; i < graph_.num_nodes && (i == index || At(i).parent >= index); i++) {
			if (states_[i].freed)
				valid_ = false;
			states_[i] = State{};
		}
	}
	void RunToEnd(int index)
	{
		Rescan(index);
		while (Next(index))
			;
	}

	void ReadAll(int index, int child)
	{
		bool more = child >= 0 && Next(child);
		Build(index);
		while (more) {
			Observe();
			more = Next(child);
		}
		Observe();
		FreeBelow(index);
	}

	bool Next(int index)
	{
		State &state = states_[index];
		if (state.freed)
			valid_ = false;
		if (!state.init_done) {
			state.init_done = true;
			for (int plan : Children(index, {NodeRole::kInitPlan}))
				RunToEnd(plan);
		}
		const bool row = Produce(index);
		if (row && Pick(1) == 0) {
			for (int plan : Children(index, {NodeRole::kSubPlan, NodeRole::kHashedSubPlan}))
				RunToEnd(plan);
		}
		return row;
	}

	bool Produce(int index)
	{
		switch (At(index).kind) {
			case NodeKind::kSort: return Blocking(index);
			case NodeKind::kAgg: return At(index).aggregate == AggKind::kMixed ? Stream(index) : Blocking(index);
			case NodeKind::kHashJoin: return HashJoin(index);
			case NodeKind::kNestLoop: return NestLoop(index);
			case NodeKind::kMergeJoin: return MergeJoin(index);
			case NodeKind::kAppend: return Append(index);
			case NodeKind::kMergeAppend: return MergeAppend(index);
			case NodeKind::kGather: return Gather(index);
			case NodeKind::kCustomScan: return Custom(index);
			case NodeKind::kLimit: return Limit(index);
			default: return Child(index, NodeRole::kOuter) >= 0 ? Stream(index) : Leaf(index);
		}
	}

	bool Leaf(int index)
	{
		State &state = states_[index];
		if (!state.open) {
			state.open = true;
			state.left = Pick(3);
			Build(index);
		}
		return state.left-- > 0;
	}
	bool Blocking(int index)
	{
		State &state = states_[index];
		if (!state.open) {
			state.open = true;
			ReadAll(index, Child(index, NodeRole::kOuter));
			state.left = Pick(3);
		}
		return state.left-- > 0;
	}
	bool Stream(int index)
	{
		State &state = states_[index];
		if (state.done)
			return false;
		const int reads = 1 + Pick(2); /* filters, or collects a group */
		for (int i = 0; i < reads; i++) {
			if (!Next(Child(index, NodeRole::kOuter))) {
				state.done = true;
				break;
			}
			Build(index);
		}
		return !state.done || Pick(3) == 0;
	}
	bool Limit(int index)
	{
		State &state = states_[index];
		if (!state.open) {
			state.open = true;
			state.left = Pick(3);
		}
		return state.left-- > 0 && Next(Child(index, NodeRole::kOuter));
	}
	/* ExecHashJoinImpl */
	bool HashJoin(int index)
	{
		State &state = states_[index];
		const int outer = Child(index, NodeRole::kOuter), hash = Child(index, NodeRole::kInner);
		const JoinKind join = At(index).join;
		const bool fill_inner = join == JoinKind::kRight || join == JoinKind::kFull;
		const bool fill_outer = join == JoinKind::kLeft || join == JoinKind::kAnti || join == JoinKind::kFull;
		const bool parallel = At(hash).memory == MemoryClass::kParallelHash;
		if (state.done)
			return false;
		if (states_[hash].freed)
			valid_ = false;
		if (!state.open) {
			state.open = true;
			if (!fill_inner && !parallel && (fill_outer || At(outer).startup_cost < At(hash).total_cost)) {
				state.stash = Next(outer);
				if (!state.stash) {
					state.done = true;
					return false;
				}
			}
			ReadAll(hash, Child(hash, NodeRole::kOuter));
			if (Pick(5) == 0 && !fill_outer) { /* nothing in it */
				state.done = true;
				return false;
			}
		}
		for (;;) {
			if (!state.stash && !Next(outer)) {
				state.done = true;
				return false;
			}
			state.stash = false;
			if (Pick(2) > 0)
				return true;
		}
	}
	bool NestLoop(int index)
	{
		State &state = states_[index];
		const int outer = Child(index, NodeRole::kOuter), inner = Child(index, NodeRole::kInner);
		for (;;) {
			if (state.done)
				return false;
			if (!state.stash) {
				if (!Next(outer)) {
					state.done = true;
					return false;
				}
				state.stash = true;
				Rescan(inner);
			}
			if (Next(inner))
				return true;
			state.stash = false;
		}
	}
	/* ExecMergeJoin: outer first; stops when one side ends */
	bool MergeJoin(int index)
	{
		State &state = states_[index];
		const int outer = Child(index, NodeRole::kOuter), inner = Child(index, NodeRole::kInner);
		if (!state.open) {
			state.open = true;
			state.done = !Next(outer) || !Next(inner);
			return !state.done;
		}
		if (!state.done)
			state.done = !Next(Pick(1) == 0 ? outer : inner);
		return !state.done;
	}
	void Order(int index)
	{
		State &state = states_[index];
		state.open = true;
		state.order = Children(index, {NodeRole::kMember});
		state.primed.assign(state.order.size(), true);
	}
	bool Append(int index)
	{
		State &state = states_[index];
		if (!state.open) {
			Order(index);
			if ((At(index).flags & kParallelAware) != 0)
				std::shuffle(state.order.begin(), state.order.end(), random_);
		}
		for (; state.at < state.order.size(); state.at++)
			if (Next(state.order[state.at]))
				return true;
		return false;
	}
	bool MergeAppend(int index)
	{
		State &state = states_[index];
		if (!state.open) {
			Order(index);
			for (size_t i = 0; i < state.order.size(); i++)
				state.primed[i] = Next(state.order[i]);
		}
		std::vector<size_t> left;
		for (size_t i = 0; i < state.order.size(); i++)
			if (state.primed[i])
				left.push_back(i);
		if (left.empty())
			return false;
		const size_t one = left[static_cast<size_t>(Pick(static_cast<int>(left.size()) - 1))];
		state.primed[one] = Next(state.order[one]);
		return true;
	}
	/* Rows of workers may come before the leader has run its own copy. */
	bool Gather(int index)
	{
		State &state = states_[index];
		if (!state.open) {
			state.open = true;
			state.left = Pick(2);
		}
		return state.left-- > 0 || Next(Child(index, NodeRole::kOuter));
	}
	/* Does as it likes. */
	bool Custom(int index)
	{
		const std::vector<int> members = Children(index, {NodeRole::kMember});
		State &state = states_[index];
		if (!state.open) {
			state.open = true;
			state.left = Pick(3);
		}
		if (state.left-- <= 0)
			return false;
		for (int member : members)
			RunToEnd(member);
		return true;
	}

	const PlanGraph &graph_;
	const Lifetimes &lifetimes_;
	std::mt19937 random_;
	std::function<void(SlotSet)> observe_;
	std::vector<State> states_;
	SlotSet alive_ = 0;
	bool valid_ = true;
};

/* A plan that PostgreSQL might make, or nearly: all operators that hold memory, in any order. */
class RandomPlan {
  public:
	explicit RandomPlan(uint32_t seed, int most_nodes = 40) : random_(seed), most_nodes_(most_nodes)
	{
		Subtree(kNoNode, NodeRole::kRoot, 0);
	}
	PlanBuilder &plan() { return plan_; }

  private:
	int Pick(int most) { return std::uniform_int_distribution<int>(0, most)(random_); }

	int16_t Node(int16_t parent, NodeRole role, NodeKind kind, MemoryClass memory = MemoryClass::kNone)
	{
		const int16_t index = plan_.Add(parent, kind, static_cast<float>(10 + Pick(100000)), role);
		plan_[index].memory = memory;
		plan_[index].startup_cost = static_cast<float>(Pick(100));
		plan_[index].total_cost = static_cast<float>(Pick(100));
		return index;
	}
	void Leaf(int16_t parent, NodeRole role)
	{
		switch (Pick(5)) {
			case 0: Node(parent, role, NodeKind::kFunctionScan, MemoryClass::kTuplestore); break;
			case 1: Node(parent, role, NodeKind::kCteScan, MemoryClass::kTuplestore); break;
			default: Node(parent, role, NodeKind::kSeqScan); break;
		}
	}
	void Subtree(int16_t parent, NodeRole role, int depth)
	{
		if (depth > 9 || plan_.graph()->num_nodes > most_nodes_) {
			Leaf(parent, role);
			return;
		}
		const int16_t here = plan_.graph()->num_nodes;
		switch (Pick(20)) {
			case 0: case 1: case 2: Unary(Node(parent, role, NodeKind::kSort, MemoryClass::kSort), depth); break;
			case 3: case 4: case 5: case 6: {
				const int16_t index = Node(parent, role, NodeKind::kAgg, MemoryClass::kHashAgg);
				plan_[index].aggregate = Pick(7) == 0 ? AggKind::kMixed : AggKind::kHashed;
				Unary(index, depth);
				break;
			}
			case 7: {
				const int16_t index = Node(parent, role, NodeKind::kAgg);
				plan_[index].aggregate = AggKind::kPlain;
				Unary(index, depth);
				break;
			}
			case 8: case 9: case 10: case 11: case 12: {
				const int16_t join = Node(parent, role, NodeKind::kHashJoin);
				plan_[join].join = static_cast<JoinKind>(1 + Pick(5));
				Subtree(join, NodeRole::kOuter, depth + 1);
				const MemoryClass memory = Pick(5) == 0 ? MemoryClass::kParallelHash : MemoryClass::kHash;
				const int16_t hash = Node(join, NodeRole::kInner, NodeKind::kHash, memory);
				Unary(hash, depth + 1);
				break;
			}
			case 13: Binary(Node(parent, role, NodeKind::kNestLoop), depth); break;
			case 14: Binary(Node(parent, role, NodeKind::kMergeJoin), depth); break;
			case 15: case 16: {
				const int16_t append = Node(parent, role, Pick(2) == 0 ? NodeKind::kMergeAppend : NodeKind::kAppend);
				plan_[append].flags = Pick(3) == 0 ? kParallelAware : 0;
				for (int members = 1 + Pick(2); members > 0; members--)
					Subtree(append, NodeRole::kMember, depth + 1);
				break;
			}
			case 17: {
				const int16_t index = Node(parent, role, Pick(1) == 0 ? NodeKind::kGather : NodeKind::kLimit);
				plan_[index].workers = plan_[index].kind == NodeKind::kGather ? 2 : 0;
				Unary(index, depth);
				break;
			}
			case 18: Unary(Node(parent, role, NodeKind::kMaterial, MemoryClass::kTuplestore), depth); break;
			case 19: Unary(Node(parent, role, NodeKind::kIncrementalSort, MemoryClass::kIncrementalSort), depth); break;
			default: Subtree(Node(parent, role, NodeKind::kCustomScan), NodeRole::kMember, depth + 1); break;
		}
		if (Pick(25) == 0)
			Subtree(here, Pick(1) == 0 ? NodeRole::kSubPlan : NodeRole::kInitPlan, depth + 2);
	}
	void Unary(int16_t index, int depth) { Subtree(index, NodeRole::kOuter, depth + 1); }
	void Binary(int16_t index, int depth)
	{
		Subtree(index, NodeRole::kOuter, depth + 1);
		Subtree(index, NodeRole::kInner, depth + 1);
	}

	PlanBuilder plan_;
	std::mt19937 random_;
	int most_nodes_;
};

}  // namespace wlm::test
