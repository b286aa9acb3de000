// Words for what went wrong: who waits where.
#include <map>

#include "scheduler.h"

namespace seqgrad::emulator {

std::string place(const Where& where) {
  const std::string path = where.file_name();
  return path.substr(path.find_last_of('/') + 1) + ":" + std::to_string(where.line());
}

namespace {

std::string block_name(const Thread& thread) {
  const auto [x, y, z] = thread.at.block;
  return "block (" + std::to_string(x) + ", " + std::to_string(y) + ", " + std::to_string(z) + ")";
}

}  // namespace

std::string thread_name(const Thread& thread) { return block_name(thread) + " thread " + std::to_string(thread.index); }

// Threads of a block that wait at one place make one entry: "0-31, 64".
std::string deadlock_text(const Launch& l) {
  constexpr size_t kMost = 12;
  std::vector<std::string> entries;
  for (const Block& block : l.blocks) {
    std::map<std::string, std::vector<int>> waiting;
    for (const Thread& thread : block.threads) {
      if (thread.finished || thread.wait == Wait::none) continue;
      const Meeting* m = nullptr;
      for (const Meeting& each : block.warps[thread.index / 32].meetings)
        if (each.arrived && (each.mask >> thread.index % 32 & 1)) m = &each;
      std::string what = std::string(name(thread.wait)) + " at " + place(thread.where);
      if (thread.wait == Wait::barrier) what += " (" + std::to_string(block.arrived) + " of " + std::to_string(l.threads) + " arrived)";
      if (m && thread.wait != Wait::barrier && thread.wait != Wait::counter) what += " (not all lanes of its mask came)";
      waiting[what].push_back(thread.index);
    }
    for (const auto& [what, indices] : waiting) {
      std::string list;
      for (size_t i = 0; i < indices.size();) {
        size_t end = i + 1;
        while (end < indices.size() && indices[end] == indices[end - 1] + 1) ++end;
        list += (i ? ", " : "") + std::to_string(indices[i]) + (end - i > 1 ? "-" + std::to_string(indices[end - 1]) : "");
        i = end;
      }
      entries.push_back(block_name(block.threads[indices[0]]) + " threads " + list + ": " + what);
    }
  }
  std::string text = "deadlock: nobody can run";
  for (size_t i = 0; i < entries.size() && i < kMost; ++i) text += "; " + entries[i];
  if (entries.size() > kMost) text += "; and " + std::to_string(entries.size() - kMost) + " more";
  return text;
}

}  // namespace seqgrad::emulator
