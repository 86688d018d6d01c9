#pragma once

namespace veloz {

/// Serves the protocol between two file descriptors until QUIT or end of file. Returns the exit
/// status: 0, or 1 when the output was closed or either descriptor failed.
int serve(int input, int output);

}  // namespace veloz
