/*
 * grant_outcomes.cpp
 *
 * wlm.grant_outcomes(): what was learned of the value of memory, template by
 * template. The store is read entry by entry while it is written to; an entry that
 * is being written is left out.
 */
#include <cmath>

#include "core/grant/outcomes.hpp"
#include "pg/guard.hpp"
#include "pg/shared_state.hpp"
#include "pg/sql/result_rows.hpp"

namespace wlm {

namespace {

void PutGuard(RowWriter *row, const GrantOutcomes &outcomes)
{
	row->Int8(outcomes.executions);
	row->Number(outcomes.guard.kept_kb > 0 ? static_cast<double>(outcomes.guard.kept_kb) : std::nan(""));
	row->Number(outcomes.guard.kept_kb > 0 ? static_cast<double>(outcomes.guard.used_kb) : std::nan(""));
	row->Int4(outcomes.guard.flips);
}

void PutLevel(ReturnSetInfo *set, const GrantOutcomes &outcomes, int index)
{
	const GrantLevel level = static_cast<GrantLevel>(index);
	const OutcomeMoments &moments = outcomes.level[index];
	RowWriter row;

	row.Int8(static_cast<int64>(outcomes.template_fingerprint));
	row.Text(GrantLevelName(level));
	row.Float8(static_cast<double>(moments.weight));
	row.Number(outcomes.level[0].weight > 0 ? std::exp(static_cast<double>(moments.mean - outcomes.level[0].mean)) : std::nan(""));
	row.Float8(static_cast<double>(outcomes.temp_kb[index]));
	row.Float8(static_cast<double>(outcomes.peak_kb[index]));
	row.Boolean(IsWithdrawn(outcomes, level));
	row.Boolean(outcomes.preferred == index + 1);
	PutGuard(&row, outcomes);
	row.Emit(set);
}

/* A template that never lacked anything: only what it is granted is followed. */
void PutTemplate(ReturnSetInfo *set, const GrantOutcomes &outcomes)
{
	RowWriter row;

	row.Int8(static_cast<int64>(outcomes.template_fingerprint));
	while (row.column < 8)
		row.Null();
	PutGuard(&row, outcomes);
	row.Emit(set);
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_grant_outcomes)
{
	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	const wlm::GrantOutcomeStore &store = *wlm::grant_outcomes;

	for (uint32_t i = 0; i < store.capacity; i++) {
		const uint64_t key = __atomic_load_n(&store.entries()[i].template_fingerprint, __ATOMIC_RELAXED);
		wlm::GrantOutcomes outcomes;
		bool any = false;

		if (key == 0 || !store.Find(key, &outcomes))
			continue;
		for (int level = 0; level < wlm::kNumGrantLevels; level++) {
			if (!(outcomes.level[level].weight > 0))
				continue;
			wlm::PutLevel(set, outcomes, level);
			any = true;
		}
		if (!any)
			wlm::PutTemplate(set, outcomes);
	}
	return static_cast<Datum>(0);
}
