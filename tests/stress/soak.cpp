// SPDX-License-Identifier: MIT
// Soak: 300 peers that connect, talk, misbehave and vanish at random against one select loop in one
// process, for as long as one likes. Every half minute: resident memory, descriptors, messages, the
// latency of a well-behaved client. With --judge, and at least four minutes: memory of the last
// minute within 1 % of that of the minute after the second, p99 latency below 10 ms.
// usage: stress_soak [--seconds N] [--members N] [--seed N] [--judge]
#include <nopoll.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <thread>
#include <vector>

#include "faults/raw_peer.hpp"
#include "stress/certificate.hpp"
#include "stress/soak_crowd.hpp"
#include "stress/support.hpp"

namespace nopoll::stress {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;
constexpr std::int64_t kReportUs = 30'000'000;

struct Counters {
    std::atomic<long> accepted{0};
    std::atomic<long> closed{0};
    std::atomic<long> messages{0};
};

void on_close(noPollCtx* /*ctx*/, noPollConn* /*conn*/, noPollPtr data) {
    ++static_cast<Counters*>(data)->closed;
}

nopoll_bool on_accept(noPollCtx* /*ctx*/, noPollConn* conn, noPollPtr data) {
    ++static_cast<Counters*>(data)->accepted;
    nopoll_conn_set_on_close(conn, on_close, data);
    return nopoll_true;
}

void on_msg(noPollCtx* /*ctx*/, noPollConn* conn, noPollMsg* msg, noPollPtr data) {
    ++static_cast<Counters*>(data)->messages;
    const auto* const payload = reinterpret_cast<const char*>(nopoll_msg_get_payload(msg));
    const long size = nopoll_msg_get_payload_size(msg);
    if (nopoll_msg_opcode(msg) == NOPOLL_BINARY_FRAME)
        (void)nopoll_conn_send_binary(conn, payload, size);
    else if (size > 0)
        (void)nopoll_conn_send_text(conn, payload, size);
}

// Latencies in microseconds, in buckets of 5 %: the memory of the figures does not grow.
class Histogram {
public:
    void add(std::int64_t us) {
        const std::lock_guard guard(mutex_);
        const auto bucket = static_cast<std::size_t>(
            std::log(static_cast<double>(std::max<std::int64_t>(us, 1))) / kStep);
        ++counts_[std::min(bucket, counts_.size() - 1)];
        ++total_;
    }
    // Upper end of the bucket that holds the given share.
    [[nodiscard]] double quantile_ms(double share) {
        const std::lock_guard guard(mutex_);
        const auto wanted = static_cast<long>(std::ceil(share * static_cast<double>(total_)));
        long seen = 0;
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (seen >= wanted) return std::exp(static_cast<double>(i + 1) * kStep) / 1e3;
        }
        return 0;
    }
    [[nodiscard]] long total() {
        const std::lock_guard guard(mutex_);
        return total_;
    }

private:
    static constexpr double kStep = 0.05;
    std::mutex mutex_;
    std::vector<long> counts_ = std::vector<long>(400, 0);
    long total_ = 0;
};

// Resident memory over a stretch of time.
class Average {
public:
    void add(double value) {
        sum_ += value;
        ++count_;
    }
    [[nodiscard]] double value() const { return count_ > 0 ? sum_ / count_ : 0; }

private:
    double sum_ = 0;
    double count_ = 0;
};

struct Verdict {
    Average early;  // third minute
    Average late;   // last minute
};

class Soak {
public:
    Soak(noPollCtx* ctx, Counters& counters, int port)
        : ctx_(ctx), counters_(counters), port_(port) {}

    void run(double seconds, Verdict& verdict) {
        std::atomic<bool> done{false};
        std::atomic<bool> witness_gone{false};  // it is served until it has its last answer
        std::thread loop([&] {
            while (!witness_gone)
                REQUIRE(nopoll_loop_wait(ctx_, 1'000'000) != -4);
        });
        std::thread witness([&] {
            const faults::RawSocket client = faults::open_client(port_);
            while (!done) {
                latency_.add(faults::echo(client, "how long does this take?"));
                idle_us(10'000);
            }
        });
        watch(seconds, verdict);
        done = true;
        witness.join();
        witness_gone = true;
        nopoll_loop_stop(ctx_);
        loop.join();
    }
    [[nodiscard]] Histogram& latency() { return latency_; }

private:
    void watch(double seconds, Verdict& verdict) {
        const std::int64_t start = now_us();
        const auto end = start + static_cast<std::int64_t>(seconds * 1e6);
        std::int64_t next_report = start + kReportUs;
        while (now_us() < end) {
            idle_us(std::min<std::int64_t>(500'000, end - now_us()));
            const std::int64_t now = now_us();
            const auto resident = static_cast<double>(resident_bytes());
            if (now - start >= 120'000'000 && now - start < 180'000'000)
                verdict.early.add(resident);
            if (end - now < 60'000'000) verdict.late.add(resident);
            if (now < next_report) continue;
            next_report += kReportUs;
            report(static_cast<double>(now - start) / 1e6);
        }
        report(seconds);
    }

    void report(double seconds) {
        std::printf("%6.0f s: %.2f MiB resident, %zu descriptors, %d connections, %ld accepted, "
                    "%ld messages, "
                    "p50 %.2f ms, p99 %.2f ms\n",
                    seconds, static_cast<double>(resident_bytes()) / kMiB, open_descriptors(),
                    nopoll_ctx_conns(ctx_), counters_.accepted.load(), counters_.messages.load(),
                    latency_.quantile_ms(0.5), latency_.quantile_ms(0.99));
        std::fflush(stdout);
    }

    noPollCtx* ctx_;
    Counters& counters_;
    int port_;
    Histogram latency_;
};

}  // namespace
}  // namespace nopoll::stress

int main(int argc, char** argv) {
    using namespace nopoll::stress;
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    const double seconds = number_setting(arguments, "--seconds", "NOPOLL_SOAK_SECONDS", 15);
    const bool judge = has_flag(arguments, "--judge");
    CrowdPlan plan;
    plan.members = static_cast<unsigned>(number_setting(arguments, "--members", "", 300));
    plan.seed = choose_seed(arguments);
    limit_run_time(static_cast<unsigned>(seconds) + 90);
    (void)raise_descriptor_limit(4096);
    const TestCertificate files;
    const std::size_t descriptors = open_descriptors();
    Counters counters;
    Verdict verdict;
    noPollCtx* const ctx = nopoll_ctx_new();
    REQUIRE(nopoll_ctx_set_io_engine(ctx, NOPOLL_IO_ENGINE_SELECT));
    nopoll_ctx_set_handshake_timeout(ctx, 3'000'000);
    nopoll_ctx_set_on_accept(ctx, on_accept, &counters);
    nopoll_ctx_set_on_msg(ctx, on_msg, &counters);
    noPollConn* const listener = nopoll_listener_new(ctx, "127.0.0.1", "0");
    noPollConn* const tls_listener = nopoll_listener_tls_new(ctx, "127.0.0.1", "0");
    REQUIRE(nopoll_listener_set_certificate(tls_listener, files.certificate().c_str(),
                                            files.key().c_str(), nullptr));
    plan.plain_port = nopoll::faults::port_of(listener);
    plan.tls_port = nopoll::faults::port_of(tls_listener);
    double p99 = 0;
    {
        Crowd crowd(plan);
        Soak soak(ctx, counters, plan.plain_port);
        soak.run(seconds, verdict);
        p99 = soak.latency().quantile_ms(0.99);
        // The crowd still wants to be served while it finishes.
        std::atomic<bool> gone{false};
        std::thread loop([&] {
            while (!gone)
                REQUIRE(nopoll_loop_wait(ctx, 100'000) != -4);
        });
        std::printf("%s; %ld echoes of the well-behaved client, p99 %.2f ms\n",
                    crowd.finish().c_str(), soak.latency().total(), p99);
        REQUIRE(nopoll::faults::eventually([&] { return nopoll_ctx_conns(ctx) == 2; }));
        gone = true;
        nopoll_loop_stop(ctx);
        loop.join();
    }
    nopoll_conn_close(listener);
    nopoll_conn_close(tls_listener);
    REQUIRE(counters.accepted == counters.closed);
    REQUIRE(nopoll_ctx_ref_count(ctx) == 1);
    nopoll_ctx_unref(ctx);
    std::printf("%ld connections came and went; descriptors: %zu before, %zu after\n",
                counters.accepted.load(), descriptors, open_descriptors());
    REQUIRE(open_descriptors() == descriptors);
    if (!judge) return 0;
    if (seconds < 240) return skip("the verdict on memory needs at least four minutes");
    const double early = verdict.early.value();
    const double late = verdict.late.value();
    const double change = (late - early) / early * 100;
    std::printf("resident memory: %.3f MiB in minute 3, %.3f MiB in the last one: %+.2f %%\n",
                early / kMiB, late / kMiB, change);
    REQUIRE(std::abs(change) < 1);
    REQUIRE(p99 < 10);
    return 0;
}
