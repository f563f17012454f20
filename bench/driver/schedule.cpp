// See schedule.hpp.
#include "schedule.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace wlm::bench {

namespace {

// Of the number of queries.
constexpr std::array<double, kPurposes> kShares = {0.86, 0.115, 0.025};
constexpr double kDistinct = 0.4;      // texts per query: the rest are exact repeats
constexpr double kTopTen = 1.0 / 3.0;  // of all queries
constexpr int kTop = 10;

struct DrawnText {
	size_t query_template;
	std::string sql;
	long runs;
};

// Distinct texts of one purpose, going round its templates, so that the mix does not depend on luck.
class TextSource {
  public:
	TextSource(const std::vector<QueryTemplate>& templates, Purpose purpose, Random& random) : templates_(templates), random_(random) {
		for (size_t i = 0; i < templates.size(); ++i) {
			if (templates[i].purpose == purpose)
				order_.push_back(i);
		}
	}

	bool IsEmpty() const { return order_.empty(); }

	DrawnText Next() {
		// A small domain may be used up: then the next template, and at last a text again.
		for (int attempt = 0;; ++attempt) {
			if (next_ % order_.size() == 0)
				random_.Shuffle(order_);
			const size_t index = order_[next_++ % order_.size()];
			std::string sql = templates_[index].Instantiate(random_);
			if (seen_.insert(sql).second || attempt >= 200)
				return {index, std::move(sql), 1};
		}
	}

  private:
	const std::vector<QueryTemplate>& templates_;
	Random& random_;
	std::vector<size_t> order_;
	size_t next_ = 0;
	std::set<std::string> seen_;
};

// `count` queries of one purpose, of which `hot` are runs of ten texts.
void AddPurpose(TextSource& source, long count, long hot, std::vector<DrawnText>& texts) {
	if (count <= 0 || source.IsEmpty())
		return;
	long distinct = std::max(1L, std::lround(kDistinct * static_cast<double>(count)));
	if (hot > 0) {
		double weights = 0.0;
		for (int rank = 0; rank < kTop; ++rank)
			weights += 1.0 / (rank + 3);
		for (int rank = 0; rank < kTop; ++rank) {
			DrawnText text = source.Next();
			text.runs = std::max(1L, std::lround(static_cast<double>(hot) / weights / (rank + 3)));
			count -= text.runs;
			texts.push_back(std::move(text));
		}
		distinct = std::max(1L, distinct - kTop);
	}
	if (count <= 0)
		return;
	distinct = std::min(distinct, count);
	// One third of the other texts share the repeats.
	const long repeated = std::max(1L, distinct / 3);
	for (long i = 0; i < distinct; ++i) {
		DrawnText text = source.Next();
		if (i < repeated)
			text.runs += (count - distinct) / repeated + (i < (count - distinct) % repeated ? 1 : 0);
		texts.push_back(std::move(text));
	}
}

std::vector<DrawnText> DrawTexts(const std::vector<QueryTemplate>& templates, long count, uint64_t seed) {
	Random random(seed);
	std::vector<DrawnText> texts;
	for (int purpose = 0; purpose < kPurposes; ++purpose) {
		TextSource source(templates, static_cast<Purpose>(purpose), random);
		const long hot = static_cast<Purpose>(purpose) == Purpose::kDashboard ? std::lround(kTopTen * static_cast<double>(count)) : 0;
		AddPurpose(source, std::lround(kShares[static_cast<size_t>(purpose)] * static_cast<double>(count)), hot, texts);
	}
	return texts;
}

double CpuSeconds(const std::vector<QueryTemplate>& templates, const Costs& costs, const std::vector<DrawnText>& texts) {
	double seconds = 0.0;
	for (const DrawnText& text : texts)
		seconds += costs.at(templates[text.query_template].name).cpu_ms / 1000.0 * static_cast<double>(text.runs);
	return seconds;
}

// People come when they like; a scheduler's jobs are spread evenly, the last early enough to be done when the day ends.
void SetMoments(const std::vector<QueryTemplate>& templates, double seconds, Random& random, std::vector<Arrival>& arrivals) {
	const auto is_job = [&](const Arrival& arrival) { return templates[arrival.query_template].purpose == Purpose::kEtl; };
	const double jobs = static_cast<double>(std::count_if(arrivals.begin(), arrivals.end(), is_job));
	double job = 0.5;
	for (Arrival& arrival : arrivals)
		arrival.at_s = is_job(arrival) ? 0.9 * seconds * job++ / jobs : random.Uniform() * seconds;
	std::sort(arrivals.begin(), arrivals.end(), [](const Arrival& a, const Arrival& b) { return a.at_s < b.at_s; });
}

}  // namespace

Schedule BuildSchedule(const std::vector<QueryTemplate>& templates, const Costs& costs, const Workload& workload) {
	const double capacity = workload.seconds * workload.cores;
	double count = workload.rate > 0.0 ? workload.rate * workload.seconds : 500.0;
	std::vector<DrawnText> texts = DrawTexts(templates, std::lround(count), workload.seed);
	// The work in a draw is nearly proportional to its size: a few steps reach the load.
	for (int step = 0; step < 6 && workload.rate <= 0.0; ++step) {
		const double load = CpuSeconds(templates, costs, texts) / capacity;
		count = std::clamp(count * workload.load / load, 30.0, 1e6);
		texts = DrawTexts(templates, std::lround(count), workload.seed);
	}

	Schedule schedule;
	schedule.load = CpuSeconds(templates, costs, texts) / capacity;
	std::vector<long> runs;
	for (const DrawnText& text : texts) {
		runs.push_back(text.runs);
		for (long i = 0; i < text.runs; ++i)
			schedule.arrivals.push_back({0.0, text.query_template, text.sql});
	}
	const double total = std::max(1.0, static_cast<double>(schedule.arrivals.size()));
	std::sort(runs.rbegin(), runs.rend());
	for (size_t i = 0; i < runs.size() && i < kTop; ++i)
		schedule.top_ten += static_cast<double>(runs[i]) / total;
	schedule.repeats = 1.0 - static_cast<double>(runs.size()) / total;

	Random random(workload.seed ^ 0x9e3779b97f4a7c15ull);
	random.Shuffle(schedule.arrivals);
	SetMoments(templates, workload.seconds, random, schedule.arrivals);
	return schedule;
}

std::vector<Arrival> BuildWarmUp(const std::vector<QueryTemplate>& templates, int times, uint64_t seed) {
	Random random(seed + 1);
	std::vector<Arrival> arrivals;
	for (int i = 0; i < times; ++i) {
		for (size_t index = 0; index < templates.size(); ++index)
			arrivals.push_back({0.0, index, templates[index].Instantiate(random)});
	}
	random.Shuffle(arrivals);
	return arrivals;
}

}  // namespace wlm::bench
