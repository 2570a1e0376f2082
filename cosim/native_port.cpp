// Moves tensors through a memory port that Verilator has turned into the class Top, and works its registers: native_port.py.

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "native.h"

namespace {

constexpr int PATIENCE = 1000;  // cycles in which nothing needs to happen
constexpr int SETTLING = 2;     // cycles until what is written counts for tensors that start
constexpr std::uint32_t NO_ANSWER = 4;

constexpr std::size_t LANES = sizeof(Top::s_core_tdata) / sizeof(std::uint32_t);

// As a beat lies in memory; the same on both faces of both sides.
struct Beat {
    std::uint64_t keep;
    std::uint64_t user;
    std::uint32_t last;
    std::uint32_t data[LANES];
};

// What became of the beats that were offered.
struct Counts {
    std::uint64_t taken, given, cycles, stalls;
};

// The ports of a stream.
template <class Data, class Keep, class User>
struct Face {
    CData &valid, &ready, &last;
    Data& data;
    Keep& keep;
    User& user;

    void drive(const Beat& beat) {
        std::memcpy(&data, beat.data, sizeof data);
        keep = static_cast<Keep>(beat.keep);
        user = static_cast<User>(beat.user);
        last = static_cast<CData>(beat.last);
    }

    void store(Beat& beat) const {
        std::memcpy(beat.data, &data, sizeof data);
        beat.keep = keep;
        beat.user = user;
        beat.last = last;
    }
};

template <class Data, class Keep, class User>
Face(CData&, CData&, CData&, Data&, Keep&, User&) -> Face<Data, Keep, User>;

// Offers a beat in each cycle and takes one in each, until the last beat of all tensors has come out, or nothing moves.
template <class From, class To>
Counts move(Top& top, From from, To to, const Beat* beats, std::uint64_t count, Beat* results, std::uint64_t room) {
    Counts done{};
    const auto tensors = std::count_if(beats, beats + count, [](const Beat& beat) { return beat.last; });
    std::int64_t ended = 0;
    to.ready = 1;
    for (int waited = 0; ended < tensors && waited < PATIENCE; ++waited) {
        from.valid = done.taken < count;
        if (from.valid) from.drive(beats[done.taken]);
        top.eval();
        const bool takes = from.valid && from.ready;
        done.stalls += from.valid && !from.ready;
        if (to.valid) {
            if (done.given == room) break;
            to.store(results[done.given++]);
            ended += to.last;
            waited = 0;
        }
        if (takes) {
            ++done.taken;
            waited = 0;
        }
        ++done.cycles;
        clock(top);
    }
    from.valid = 0;
    to.ready = 0;
    return done;
}

// Runs the clock until `there` becomes 1; whether it did.
bool wait(Top& top, const CData& there) {
    for (int waited = 0; waited < PATIENCE; ++waited) {
        top.eval();
        if (there) return true;
        clock(top);
    }
    return false;
}

}  // namespace

extern "C" {

void* model_new() {
    auto top = new Top{new VerilatedContext};
    top->s_core_tvalid = top->s_mem_tvalid = top->m_mem_tready = top->m_core_tready = 0;
    top->s_axil_awvalid = top->s_axil_wvalid = top->s_axil_bready = top->s_axil_arvalid = top->s_axil_rready = 0;
    reset(*top);
    return top;
}

std::uint64_t port_beat_bytes() { return sizeof(Beat); }

void port_write(void* port, const Beat* beats, std::uint64_t count, Beat* results, std::uint64_t room, Counts* counts) {
    auto& top = *static_cast<Top*>(port);
    *counts = move(top,
                   Face{top.s_core_tvalid, top.s_core_tready, top.s_core_tlast, top.s_core_tdata, top.s_core_tkeep,
                        top.s_core_tuser},
                   Face{top.m_mem_tvalid, top.m_mem_tready, top.m_mem_tlast, top.m_mem_tdata, top.m_mem_tkeep, top.m_mem_tuser},
                   beats, count, results, room);
}

void port_read(void* port, const Beat* beats, std::uint64_t count, Beat* results, std::uint64_t room, Counts* counts) {
    auto& top = *static_cast<Top*>(port);
    *counts = move(top,
                   Face{top.s_mem_tvalid, top.s_mem_tready, top.s_mem_tlast, top.s_mem_tdata, top.s_mem_tkeep, top.s_mem_tuser},
                   Face{top.m_core_tvalid, top.m_core_tready, top.m_core_tlast, top.m_core_tdata, top.m_core_tkeep,
                        top.m_core_tuser},
                   beats, count, results, room);
}

// The response, or NO_ANSWER.
std::uint32_t port_poke(void* port, std::uint32_t address, std::uint32_t word) {
    auto& top = *static_cast<Top*>(port);
    top.s_axil_awaddr = address;
    top.s_axil_wdata = word;
    top.s_axil_wstrb = 15;
    top.s_axil_awvalid = top.s_axil_wvalid = 1;
    if (!wait(top, top.s_axil_awready) || !top.s_axil_wready) return NO_ANSWER;
    clock(top);
    top.s_axil_awvalid = top.s_axil_wvalid = 0;
    top.s_axil_bready = 1;
    if (!wait(top, top.s_axil_bvalid)) return NO_ANSWER;
    const std::uint32_t response = top.s_axil_bresp;
    clock(top);
    top.s_axil_bready = 0;
    for (int cycle = 0; cycle < SETTLING; ++cycle) {
        top.eval();
        clock(top);
    }
    return response;
}

// The response, or NO_ANSWER.
std::uint32_t port_peek(void* port, std::uint32_t address, std::uint32_t* word) {
    auto& top = *static_cast<Top*>(port);
    top.s_axil_araddr = address;
    top.s_axil_arvalid = 1;
    if (!wait(top, top.s_axil_arready)) return NO_ANSWER;
    clock(top);
    top.s_axil_arvalid = 0;
    top.s_axil_rready = 1;
    if (!wait(top, top.s_axil_rvalid)) return NO_ANSWER;
    const std::uint32_t response = top.s_axil_rresp;
    *word = top.s_axil_rdata;
    clock(top);
    top.s_axil_rready = 0;
    return response;
}
}
