// See client_pool.hpp. One mutex guards the queue and the counters; a connection is used by its own thread only, except for Cancel.
#include "client_pool.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "connection.hpp"

namespace wlm::bench {

namespace {

using Clock = std::chrono::steady_clock;

class Pool {
  public:
	Pool(const std::vector<QueryTemplate>& templates, const std::vector<Arrival>& arrivals, const PoolOptions& options)
		: templates_(templates), arrivals_(arrivals), options_(options), samples_(arrivals.size()) {
		max_clients_ = static_cast<size_t>(std::max(options.clients, options.max_clients));
		for (int i = 0; i < options.clients; ++i)
			connections_.push_back(std::make_unique<Connection>("bench_driver", options.statement_timeout_s));
		idle_ = connections_.size();
	}

	RunResult Run(const std::function<void(const Progress&)>& on_progress) {
		start_ = Clock::now();
		const double epoch = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
		for (const auto& connection : connections_)
			threads_.emplace_back([this, client = connection.get()] { Serve(*client); });
		Dispatch(on_progress);
		threads_.clear();
		if (options_.open_loop)
			std::this_thread::sleep_for(std::chrono::milliseconds(500));
		progress_.elapsed = Now();
		progress_.due = arrivals_.size();
		progress_.waiting = 0;
		on_progress(progress_);
		return {std::move(samples_), epoch};
	}

  private:
	const std::vector<QueryTemplate>& templates_;
	const std::vector<Arrival>& arrivals_;
	const PoolOptions& options_;
	std::vector<std::unique_ptr<Connection>> connections_;
	std::vector<std::jthread> threads_;  // the dispatcher's own
	Clock::time_point start_;

	std::mutex mutex_;  // guards what follows and connections_
	size_t max_clients_ = 1;
	size_t idle_ = 0;  // clients that wait for a query, or will when they have connected
	std::condition_variable wake_clients_;
	std::condition_variable wake_dispatcher_;
	std::vector<Sample> samples_;
	std::deque<size_t> waiting_;
	std::set<size_t> running_jobs_;  // serial templates that run now
	Progress progress_;
	bool is_closed_ = false;

	double Now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

	// The first waiting query that may start, or waiting_.end().
	std::deque<size_t>::iterator NextLocked() {
		return std::find_if(waiting_.begin(), waiting_.end(), [this](size_t index) {
			return !running_jobs_.contains(arrivals_[index].query_template);
		});
	}

	void Serve(Connection& connection) {
		std::unique_lock lock(mutex_);
		for (;;) {
			auto next = waiting_.end();
			wake_clients_.wait(lock, [&] { return (next = NextLocked()) != waiting_.end() || (is_closed_ && waiting_.empty()); });
			if (next == waiting_.end())
				return;
			const size_t index = *next;
			waiting_.erase(next);
			--idle_;
			ExecuteUnlocked(connection, index, lock);
			++idle_;
		}
	}

	// Connects in the new client's own thread: the dispatcher must not be late.
	void AddClientLocked() {
		++idle_;
		threads_.emplace_back([this] {
			Connection* client = nullptr;
			try {
				auto connection = std::make_unique<Connection>("bench_driver", options_.statement_timeout_s);
				const std::lock_guard lock(mutex_);
				client = connection.get();
				connections_.push_back(std::move(connection));
			} catch (const std::exception&) {
				// The server takes no more: go on with those that there are.
				const std::lock_guard lock(mutex_);
				max_clients_ = connections_.size();
				--idle_;
				return;
			}
			Serve(*client);
		});
	}

	void ExecuteUnlocked(Connection& connection, size_t index, std::unique_lock<std::mutex>& lock) {
		const Arrival& arrival = arrivals_[index];
		const QueryTemplate& query_template = templates_[arrival.query_template];
		if (query_template.is_serial)
			running_jobs_.insert(arrival.query_template);
		++progress_.running;
		Sample sample;
		sample.query_template = query_template.name;
		sample.text_hash = HashText(arrival.text);
		sample.pid = connection.BackendPid();
		lock.unlock();

		sample.sent = Now();
		sample.due = options_.open_loop ? arrival.at_s : sample.sent;
		const Outcome outcome = connection.Execute(arrival.text);
		sample.finished = Now();
		sample.rows = outcome.rows;
		sample.answer_hash = outcome.answer_hash;
		sample.error = outcome.error;

		lock.lock();
		samples_[index] = sample;
		--progress_.running;
		++progress_.finished;
		progress_.errors += sample.error.empty() ? 0 : 1;
		if (query_template.is_serial) {
			running_jobs_.erase(arrival.query_template);
			wake_clients_.notify_all();
		}
		wake_dispatcher_.notify_one();
	}

	void Dispatch(const std::function<void(const Progress&)>& on_progress) {
		std::unique_lock lock(mutex_);
		size_t next = 0;
		double report_at = 3.0;
		double give_up_at = 1e18;
		while (progress_.finished < arrivals_.size()) {
			const double now = Now();
			while (next < arrivals_.size() && (!options_.open_loop || arrivals_[next].at_s <= now)) {
				waiting_.push_back(next++);
				wake_clients_.notify_one();
				if (waiting_.size() > idle_ && threads_.size() < max_clients_)
					AddClientLocked();
			}
			if (next == arrivals_.size() && !is_closed_) {
				is_closed_ = true;
				give_up_at = now + options_.drain_limit_s;
			}
			if (now >= give_up_at)
				GiveUpLocked(now);
			if (now >= report_at) {
				report_at = now + 3.0;
				progress_.elapsed = now;
				progress_.due = next;
				progress_.waiting = waiting_.size();
				const Progress progress = progress_;
				lock.unlock();
				on_progress(progress);
				lock.lock();
				continue;
			}
			double until = std::min(report_at, std::max(give_up_at, now + 1.0));
			if (next < arrivals_.size())
				until = std::min(until, arrivals_[next].at_s);
			wake_dispatcher_.wait_until(lock, start_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(until)));
		}
		is_closed_ = true;
		wake_clients_.notify_all();
	}

	void GiveUpLocked(double now) {
		for (const size_t index : waiting_) {
			Sample& sample = samples_[index];
			sample.query_template = templates_[arrivals_[index].query_template].name;
			sample.text_hash = HashText(arrivals_[index].text);
			sample.due = arrivals_[index].at_s;
			sample.sent = sample.finished = now;
			sample.error = "----- not started before the time limit";
			++progress_.finished;
			++progress_.errors;
		}
		waiting_.clear();
		for (const auto& connection : connections_)
			connection->Cancel();
	}
};

}  // namespace

RunResult RunClients(const std::vector<QueryTemplate>& templates, const std::vector<Arrival>& arrivals, const PoolOptions& options,
                     const std::function<void()>& on_ready, const std::function<void(const Progress&)>& on_progress) {
	Pool pool(templates, arrivals, options);
	on_ready();
	return pool.Run(on_progress);
}

}  // namespace wlm::bench
