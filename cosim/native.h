// What the drivers of a block that Verilator has turned into the class Top share: a rising edge, a reset, the end.

#pragma once

#include "Top.h"

namespace {

// After a rising edge outputs are those of the new cycle once inputs are set and evaluated. A block may have no clock or reset.
template <class Block>
void clock(Block& top) {
    if constexpr (requires { top.clk; }) {
        top.clk = 1;
        top.eval();
        top.clk = 0;
    }
}

template <class Block>
void reset(Block& top) {
    const auto drive = [&top](bool active) {
        if constexpr (requires { top.rst; }) top.rst = active;
        if constexpr (requires { top.rst_n; }) top.rst_n = !active;
        top.eval();
        clock(top);
    };
    drive(true);
    drive(false);
}

}  // namespace

extern "C" void model_delete(void* model) {
    const auto top = static_cast<Top*>(model);
    const auto context = top->contextp();
    delete top;
    delete context;
}
