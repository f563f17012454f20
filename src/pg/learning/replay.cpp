/*
 * replay.cpp
 *
 * After a start of the server the models are fresh. They become what they were
 * in two steps: the champions of wlm.model, then what happened since each of
 * them was made, from wlm.history. Can be repeated: a replay that was cut short
 * begins anew.
 *
 * Trees and graph are what their champions hold, or what came with pg_wlm. The
 * neighbours' examples are made anew, from the graphs of wlm.plan: their points
 * are not stored.
 *
 * Models are written under learn_lock, which is let go between experiences, so
 * that the launcher's learning goes on. What the launcher has learned since the
 * start is not in the tables yet, but still in the ring: it learns that again.
 */
#include "pg/learning/replay.hpp"

#include <algorithm>
#include <span>

extern "C" {
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}

#include "core/learn/learner.hpp"
#include "core/learn/model_blob.hpp"
#include "core/predict/graph_model.hpp"
#include "core/predict/neighbour_store.hpp"
#include "pg/history/stored_experience.hpp"
#include "pg/history/stored_graph.hpp"
#include "pg/learning/interference.hpp"
#include "pg/learning/training.hpp"
#include "pg/models/publish.hpp"
#include "pg/models/published_models.hpp"
#include "pg/observe/observe.hpp"
#include "pg/plan/plan_memory.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/worker/worker.hpp"

namespace wlm {

namespace {

constexpr int kFetchRows = 512;
constexpr int kIdColumns = 1;
constexpr int kFirstOperatorColumn = kIdColumns + kNumHistoryColumns;
constexpr int kNumColumns = kFirstOperatorColumn + kNumOperatorColumns;

struct Champion {
	int32 version;
	TimestampTz learned_to;
	ModelBytes content;       /* no data if the row has none */
};

/* What of history is still to be learned, by expert; everything is judged. */
struct ReplayState {
	TimestampTz learned_to[kNumModels];
	int64 count;
	RoleShares role_shares;          /* history tells roles apart by name, the ring by OID */
	const GraphModel *graph;         /* a copy of what is in use; null = none */
	NeighbourStore *neighbours;      /* to be published at the end */
	std::span<std::byte> neighbours_memory;
};

Champion ReadChampion(ModelId which)
{
	Champion champion = {};
	Oid types[] = {TEXTOID};
	Datum values[] = {CStringGetTextDatum(ModelName(which))};
	bool null;

	if (SPI_execute_with_args("SELECT version, COALESCE(learned_to, trained_at), content FROM wlm.model "
	                          "WHERE state = 'champion' AND expert = $1",
	                          1, types, values, nullptr, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read wlm.model");
	if (SPI_processed == 0)
		return champion;

	const HeapTuple tuple = SPI_tuptable->vals[0];
	const TupleDesc description = SPI_tuptable->tupdesc;
	champion.version = DatumGetInt32(SPI_getbinval(tuple, description, 1, &null));
	champion.learned_to = DatumGetTimestampTz(SPI_getbinval(tuple, description, 2, &null));
	const Datum content = SPI_getbinval(tuple, description, 3, &null);
	if (!null) {
		const bytea *bytes = DatumGetByteaPP(content);
		champion.content = AlignedCopy(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	}
	return champion;
}

bool HasHistory()
{
	if (SPI_execute("SELECT FROM wlm.history LIMIT 1", true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read wlm.history");
	return SPI_processed > 0;
}

/* learn_lock must be held. Nothing raises. */
BlobStatus LoadChampionLocked(ModelId which, const Champion &champion)
{
	const std::span<const std::byte> blob = AsSpan(champion.content);
	std::span<const std::byte> model;

	if (which == kPlannerModel)
		return ReadBlob(blob, planner_model);
	if (which == kRecallModel)
		return ReadBlob(blob, recall_store);
	const BlobStatus status = CheckInPlaceBlob(blob, which, &model);
	if (status == BlobStatus::kOk && !ReplaceInPlaceLocked(which, model))
		return BlobStatus::kForeignShape; /* too large for wlm.model_memory */
	return status;
}

/* Back to where the writing of history begins. learn_lock must be held. */
void RewindLearnerLocked()
{
	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	uint64_t &learner = ring->tail[static_cast<int>(Reader::kLearner)];
	learner = std::min(learner, ring->tail[static_cast<int>(Reader::kHistory)]);
	LWLockRelease(shared->state_lock);
}

/* Fresh models, and into them what the champions hold. */
void LoadChampions(const Champion *champions, ReplayState *state)
{
	BlobStatus status[kNumModels];
	uint32 version = pg_atomic_read_u32(&shared->model_version);

	LWLockAcquire(shared->learn_lock, LW_EXCLUSIVE);
	InitPlannerModel(planner_model);
	recall_store->Clear();
	ClearOutcomesLocked();
	InitAccuracy(accuracy);
	PublishPretrainedLocked(kGateModel);
	for (int which = 0; which < kNumModels; which++) {
		const ModelId model = static_cast<ModelId>(which);
		status[which] = BlobStatus::kOk;
		if (champions[which].content.data != nullptr)
			status[which] = LoadChampionLocked(model, champions[which]);
		if (IsTrained(model) && (champions[which].content.data == nullptr || status[which] != BlobStatus::kOk))
			PublishPretrainedLocked(model);
	}
	ClearNeighboursLocked();
	RewindLearnerLocked();
	LWLockRelease(shared->learn_lock);

	for (int which = 0; which < kNumModels; which++) {
		state->learned_to[which] = DT_NOBEGIN;
		if (champions[which].content.data == nullptr)
			continue;
		if (status[which] != BlobStatus::kOk) {
			ereport(WARNING, (errmsg("model %d of expert \"%s\" cannot be used", champions[which].version,
			                         ModelName(static_cast<ModelId>(which))),
			                  errdetail_internal("%s", BlobStatusText(status[which])),
			                  errhint("The expert goes on without it; train a new model with wlm.train().")));
			continue;
		}
		state->learned_to[which] = champions[which].learned_to;
		version = std::max(version, static_cast<uint32>(champions[which].version));
	}
	pg_atomic_write_u32(&shared->model_version, version);
}

void LearnAgain(void *context, Experience &experience, const PlanGraph *graph)
{
	ReplayState *state = static_cast<ReplayState *>(context);
	const LearningModels models = {
		.planner = experience.finished_at > state->learned_to[kPlannerModel] ? planner_model : nullptr,
		.recall = experience.finished_at > state->learned_to[kRecallModel] ? recall_store : nullptr,
		.gate = experience.finished_at > state->learned_to[kGateModel] ? gate_model : nullptr,
		.accuracy = accuracy,
	};

	LWLockAcquire(shared->learn_lock, LW_EXCLUSIVE);
	Learn(models, experience, WeightOfRole(&state->role_shares, experience.role_oid));
	LearnOutcomesLocked(experience);
	LearnOverlapLocked(experience);
	LWLockRelease(shared->learn_lock);
	if (graph != nullptr && state->neighbours != nullptr && experience.final_state == FinalState::kCompleted) {
		PredictAgain({.graph = state->graph}, graph, &experience);
		AddNeighbour(state->neighbours, experience);
	}
	/* The express lane's cut-off follows recent times. */
	if (experience.final_state == FinalState::kCompleted && !experience.censored) {
		StateLock lock;
		policy->ObserveEnd(EndOf(experience));
	}
	state->count++;
}

/* A copy of the graph model in use, and an empty store for its points. */
void PrepareNeighbours(ReplayState *state)
{
	LWLockAcquire(shared->learn_lock, LW_SHARED);
	const size_t graph_bytes = InPlaceLocked(kGraphModel).size();
	const size_t store_bytes = InPlaceLocked(kNeighboursModel).size();
	LWLockRelease(shared->learn_lock);
	if (graph_bytes == 0 || store_bytes == 0)
		return;
	std::byte *graph = static_cast<std::byte *>(palloc(graph_bytes));
	std::byte *store = static_cast<std::byte *>(palloc(store_bytes));

	LWLockAcquire(shared->learn_lock, LW_SHARED);
	const bool same = InPlaceLocked(kGraphModel).size() == graph_bytes && InPlaceLocked(kNeighboursModel).size() == store_bytes;
	if (same) {
		memcpy(graph, InPlaceLocked(kGraphModel).data(), graph_bytes);
		memcpy(store, InPlaceLocked(kNeighboursModel).data(), store_bytes);
	}
	LWLockRelease(shared->learn_lock);
	if (!same)
		return; /* somebody has just published: with that model go his neighbours */
	state->graph = reinterpret_cast<const GraphModel *>(graph);
	state->neighbours = reinterpret_cast<NeighbourStore *>(store);
	state->neighbours_memory = {store, store_bytes};
}

void PublishNeighbours(const ReplayState &state)
{
	if (state.neighbours == nullptr)
		return;
	LWLockAcquire(shared->learn_lock, LW_EXCLUSIVE);
	const std::span<const std::byte> graph = InPlaceLocked(kGraphModel);
	if (!graph.empty() && GraphModelVersion(*reinterpret_cast<const GraphModel *>(graph.data())) ==
	                          NeighbourEmbeddingVersion(*state.neighbours))
		ReplaceInPlaceLocked(kNeighboursModel, state.neighbours_memory);
	LWLockRelease(shared->learn_lock);
}

/* The id of the oldest of the `limit` newest rows; all of them for a limit that none reaches. */
int64 OldestId(const char *condition, int64 limit)
{
	Oid types[] = {INT8OID};
	Datum values[] = {Int64GetDatum(std::max<int64>(limit, 1) - 1)};
	bool null;

	const char *sql = psprintf("SELECT id FROM wlm.history WHERE (%s) ORDER BY id DESC OFFSET $1 LIMIT 1", condition);
	if (SPI_execute_with_args(sql, 1, types, values, nullptr, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read wlm.history");
	if (SPI_processed == 0)
		return PG_INT64_MIN;
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null));
}

void AppendColumns(StringInfo sql, const char *alias, const StoredColumn *columns, int count)
{
	for (int i = 0; i < count; i++)
		appendStringInfo(sql, ", %s.%s", alias, columns[i].name);
}

/* Operators follow their statement; both tables are read in the order of their keys. */
Portal OpenHistory(const char *condition, int64 oldest_id)
{
	Oid types[] = {INT8OID};
	Datum values[] = {Int64GetDatum(oldest_id)};
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT h.id");
	AppendColumns(&sql, "h", kHistoryColumns, kNumHistoryColumns);
	AppendColumns(&sql, "o", kOperatorColumns, kNumOperatorColumns);
	appendStringInfo(&sql,
	                 " FROM (SELECT * FROM wlm.history WHERE id >= $1 AND (%s)) AS h"
	                 " LEFT JOIN wlm.history_operator AS o ON o.history_id = h.id"
	                 " ORDER BY h.id, o.plan_node_id",
	                 condition);
	return SPI_cursor_open_with_args(nullptr, sql.data, 1, types, values, nullptr, true, CURSOR_OPT_NO_SCROLL);
}

/* Somebody may have changed a column's type: reading it as another would crash. */
void CheckColumns(TupleDesc description, int first, const StoredColumn *columns, int count)
{
	for (int i = 0; i < count; i++) {
		if (TupleDescAttr(description, first + i)->atttypid != columns[i].type)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
			                errmsg("column \"%s\" of the history of pg_wlm has an unexpected type", columns[i].name),
			                errhint("Restore the table as the extension created it.")));
	}
}

struct Consumer {
	ConsumeExperience consume;
	void *context;
	StoredGraphs *graphs;
};

void GiveTo(const Consumer &consumer, Experience *experience, bool *pending)
{
	if (!*pending)
		return;
	const PlanGraph *graph = FindStoredGraph(consumer.graphs, experience->plan_fingerprint, experience->command);

	experience->num_nodes = graph != nullptr ? graph->num_nodes : int16_t{0};
	consumer.consume(consumer.context, *experience, graph);
	*pending = false;
}

}  // namespace

void ForEachExperience(const char *condition, int64 limit, ConsumeExperience consume, void *context)
{
	if (limit <= 0)
		return;
	if (condition == nullptr)
		condition = "true";
	SPI_connect();
	Experience *experience = static_cast<Experience *>(palloc0(sizeof(Experience)));
	bool pending = false;
	int64 current_id = 0;
	const Consumer consumer = {consume, context, OpenStoredGraphs()};
	const Portal portal = OpenHistory(condition, OldestId(condition, limit));
	CheckColumns(portal->tupDesc, kIdColumns, kHistoryColumns, kNumHistoryColumns);
	CheckColumns(portal->tupDesc, kFirstOperatorColumn, kOperatorColumns, kNumOperatorColumns);

	const MemoryContext fetch_context =
		AllocSetContextCreate(CurrentMemoryContext, "pg_wlm history", ALLOCSET_DEFAULT_SIZES);
	for (;;) {
		SPI_cursor_fetch(portal, true, kFetchRows);
		const uint64 num_rows = SPI_processed;
		SPITupleTable *const table = SPI_tuptable;
		if (num_rows == 0)
			break;

		const MemoryContext outer_context = MemoryContextSwitchTo(fetch_context);
		for (uint64 row = 0; row < num_rows; row++) {
			Datum values[kNumColumns];
			bool nulls[kNumColumns];

			heap_deform_tuple(table->vals[row], table->tupdesc, values, nulls);
			const int64 id = DatumGetInt64(values[0]);
			if (!pending || id != current_id) {
				GiveTo(consumer, experience, &pending);
				DecodeExperience(values + kIdColumns, nulls + kIdColumns, experience);
				current_id = id;
				pending = true;
			}
			if (!nulls[kFirstOperatorColumn])
				DecodeOperator(values + kFirstOperatorColumn, nulls + kFirstOperatorColumn, experience);
		}
		MemoryContextSwitchTo(outer_context);
		MemoryContextReset(fetch_context);
		SPI_freetuptable(table);
		CHECK_FOR_INTERRUPTS();
	}
	GiveTo(consumer, experience, &pending);
	SPI_cursor_close(portal);
	SPI_finish();
}

void Replay()
{
	Champion champions[kNumModels];
	ReplayState state = {};
	bool any;

	BeginWork("learning from history again");
	any = HasHistory();
	for (int which = 0; which < kNumModels; which++) {
		champions[which] = ReadChampion(static_cast<ModelId>(which));
		any = any || champions[which].content.data != nullptr;
	}
	/* Nothing stored: what has been learned since the start stays. */
	if (any) {
		LoadChampions(champions, &state);
		PrepareNeighbours(&state);
		ForEachExperience(nullptr, setting::history_rows, LearnAgain, &state);
		LWLockAcquire(shared->learn_lock, LW_EXCLUSIVE);
		PublishOutcomesLocked();
		LWLockRelease(shared->learn_lock);
		PublishNeighbours(state);
		ereport(LOG, (errmsg("pg_wlm learned again from " INT64_FORMAT " statements of its history", state.count)));
	}
	CommitWork();
	EndReplay();
}

void EndReplay()
{
	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	shared->replayed = true;
	LWLockRelease(shared->state_lock);
}

}  // namespace wlm
