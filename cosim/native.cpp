// Runs beats through a block that Verilator has turned into the class Top: see native.py.
//
// The value of a port is a row of 32-bit words, lowest first; the rows of all beats follow one another without gaps. What the
// block does not have (tuser, a clock, a reset) is left alone.

#include <cstdint>
#include <cstring>

#include "native.h"

namespace {

template <class Port>
std::uint64_t words(const Port&) {
    return (sizeof(Port) + 3) / 4;
}

template <class Port>
void load(Port& port, const std::uint32_t* row) {
    std::memcpy(&port, row, sizeof port);
}

template <class Port>
void store(std::uint32_t* row, const Port& port) {
    if constexpr (sizeof port < sizeof *row) {
        *row = port;
    } else {
        std::memcpy(row, &port, sizeof port);
    }
}

// How many of the beats were taken in the cycle in which they were offered and came out `latency` cycles later.
template <class Block>
std::uint64_t run(Block& top, std::uint64_t beats, std::uint64_t latency, const std::uint32_t* s_data,
                  const std::uint32_t* s_user, bool same_user, std::uint32_t* m_data, std::uint32_t* m_user) {
    for (std::uint64_t cycle = 0; cycle < beats + latency; ++cycle) {
        top.s_axis_tvalid = cycle < beats;
        if (cycle < beats) {
            load(top.s_axis_tdata, s_data + cycle * words(top.s_axis_tdata));
            if constexpr (requires { top.s_axis_tuser; }) {
                load(top.s_axis_tuser, s_user + (same_user ? 0 : cycle * words(top.s_axis_tuser)));
            }
        }
        top.eval();
        if (!top.s_axis_tready) return cycle < latency ? 0 : cycle - latency;
        if (cycle >= latency) {
            const std::uint64_t beat = cycle - latency;
            if (!top.m_axis_tvalid) return beat;
            store(m_data + beat * words(top.m_axis_tdata), top.m_axis_tdata);
            if constexpr (requires { top.m_axis_tuser; }) {
                store(m_user + beat * words(top.m_axis_tuser), top.m_axis_tuser);
            }
        }
        clock(top);
    }
    return beats;
}

// As `run`, of a block that gives one result for all beats up to one with tlast: how many results, or ~0 if a beat was not taken in
// the cycle in which it was offered.
template <class Block>
std::uint64_t gather(Block& top, std::uint64_t beats, std::uint64_t latency, const std::uint32_t* s_data,
                     const std::uint32_t* s_user, const std::uint8_t* s_last, std::uint32_t* m_data, std::uint32_t* m_user) {
    std::uint64_t results = 0;
    for (std::uint64_t cycle = 0; cycle < beats + latency; ++cycle) {
        top.s_axis_tvalid = cycle < beats;
        if (cycle < beats) {
            load(top.s_axis_tdata, s_data + cycle * words(top.s_axis_tdata));
            top.s_axis_tlast = s_last[cycle];
            if constexpr (requires { top.s_axis_tuser; }) {
                load(top.s_axis_tuser, s_user + cycle * words(top.s_axis_tuser));
            }
        }
        top.eval();
        if (!top.s_axis_tready) return ~std::uint64_t{0};
        if (top.m_axis_tvalid) {
            store(m_data + results * words(top.m_axis_tdata), top.m_axis_tdata);
            if constexpr (requires { top.m_axis_tuser; }) {
                store(m_user + results * words(top.m_axis_tuser), top.m_axis_tuser);
            }
            ++results;
        }
        clock(top);
    }
    return results;
}

}  // namespace

extern "C" {

void* model_new() {
    auto top = new Top{new VerilatedContext};
    top->s_axis_tvalid = 0;
    top->s_axis_tlast = 0;
    top->m_axis_tready = 1;
    reset(*top);
    return top;
}

std::uint64_t model_run(void* model, std::uint64_t beats, std::uint64_t latency, const std::uint32_t* s_data,
                        const std::uint32_t* s_user, bool same_user, std::uint32_t* m_data, std::uint32_t* m_user) {
    return run(*static_cast<Top*>(model), beats, latency, s_data, s_user, same_user, m_data, m_user);
}

std::uint64_t model_gather(void* model, std::uint64_t beats, std::uint64_t latency, const std::uint32_t* s_data,
                           const std::uint32_t* s_user, const std::uint8_t* s_last, std::uint32_t* m_data,
                           std::uint32_t* m_user) {
    return gather(*static_cast<Top*>(model), beats, latency, s_data, s_user, s_last, m_data, m_user);
}
}
