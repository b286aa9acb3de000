#include "warnings.h"

#include <mutex>
#include <string>
#include <utility>

int32_t seqgrad_warnings_waiting = 0;

namespace {
std::mutex guard;
std::string waiting;
}  // namespace

void seqgrad_keep_warning(const char* line) {
  const std::lock_guard<std::mutex> lock(guard);
  if (!waiting.empty()) waiting += '\n';
  waiting += line;
  __atomic_fetch_add(&seqgrad_warnings_waiting, 1, __ATOMIC_RELEASE);
}

const char* seqgrad_take_warnings() {
  thread_local std::string taken;
  const std::lock_guard<std::mutex> lock(guard);
  taken = std::exchange(waiting, {});
  __atomic_store_n(&seqgrad_warnings_waiting, 0, __ATOMIC_RELEASE);
  return taken.c_str();
}
