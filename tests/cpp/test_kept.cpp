// Memory that outlives its tensor: what is handed out again, what is let go, and that no two ever have the same.
#include "core/kept.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "check.h"

namespace {

using seqgrad::KeptBlocks;
constexpr size_t kMiB = size_t(1) << 20;

TEST(handed_out_again) {
  KeptBlocks blocks;
  const auto first = blocks.take(5 * kMiB + 1);
  CHECK(first.bytes >= 5 * kMiB + 1 && reinterpret_cast<uintptr_t>(first.memory) % 64 == 0);
  std::memset(first.memory, 7, first.bytes);
  const auto second = blocks.take(5 * kMiB);
  CHECK(second.memory != first.memory);
  blocks.give_back(first);
  CHECK(blocks.kept_bytes() == first.bytes);
  const auto third = blocks.take(3 * kMiB);  // a smaller one will do with it
  CHECK(third.memory == first.memory && third.bytes == first.bytes && blocks.kept_bytes() == 0);
  std::memset(third.memory, 1, third.bytes);
  blocks.give_back(third), blocks.give_back(second);
}

TEST(smallest_that_is_large_enough_and_not_too_large) {
  KeptBlocks blocks;
  const auto eight = blocks.take(8 * kMiB), six = blocks.take(6 * kMiB), ten = blocks.take(10 * kMiB);
  blocks.give_back(ten), blocks.give_back(six), blocks.give_back(eight);
  CHECK(blocks.take(7 * kMiB).memory == eight.memory);
  CHECK(blocks.take(4 * kMiB).memory == six.memory);
  CHECK(blocks.kept_bytes() == ten.bytes);
  const auto small = blocks.take(2 * kMiB);  // ten is more than twice as large: it makes room
  CHECK(small.bytes == 2 * kMiB && blocks.kept_bytes() == 0);
  blocks.give_back(eight), blocks.give_back(six), blocks.give_back(small);
}

TEST(never_more_than_was_in_use) {
  KeptBlocks blocks;
  for (size_t size = 2; size < 40; ++size) {  // ever longer sequences
    const auto one = blocks.take(size * kMiB), two = blocks.take(size * kMiB);
    CHECK(blocks.kept_bytes() == 0);
    blocks.give_back(one), blocks.give_back(two);
    CHECK(blocks.kept_bytes() == 2 * size * kMiB);
  }
}

TEST(no_more_than_the_most_is_kept) {
  KeptBlocks blocks;
  const auto half = blocks.take(KeptBlocks::kMost / 2 + kMiB), other = blocks.take(KeptBlocks::kMost / 2),
             huge = blocks.take(KeptBlocks::kMost + kMiB);
  blocks.give_back(half), blocks.give_back(huge);
  CHECK(blocks.kept_bytes() == half.bytes);
  blocks.give_back(other);  // both are too many: the older one goes
  CHECK(blocks.kept_bytes() == other.bytes && blocks.take(other.bytes).memory == other.memory);
  blocks.give_back(other);
}

TEST(a_size_nobody_has) {
  KeptBlocks blocks;
  bool refused = false;
  try {
    blocks.take(size_t(1) << 60);
  } catch (const std::bad_alloc&) { refused = true; }
  CHECK(refused);
}

TEST(threads_never_share_one) {
  KeptBlocks blocks;
  std::atomic<int> disturbed{0};
  std::vector<std::thread> threads;
  for (int id = 0; id < 4; ++id)
    threads.emplace_back([&, id] {
      for (int i = 0; i < 200; ++i) {
        const auto block = blocks.take((2 + (i + id) % 5) * kMiB);
        for (size_t at = 0; at < block.bytes; at += 4096) block.memory[at] = std::byte(id);
        for (size_t at = 0; at < block.bytes; at += 4096) disturbed += block.memory[at] != std::byte(id);
        blocks.give_back(block);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(disturbed == 0);
}

TEST(the_child_of_a_fork_goes_on) {
  KeptBlocks blocks;
  const auto used = blocks.take(2 * kMiB);
  blocks.give_back(blocks.take(3 * kMiB));
  std::memset(used.memory, 1, used.bytes);
  const pid_t child = fork();
  if (child == 0) {
    std::memset(used.memory, 2, used.bytes);
    blocks.give_back(used);
    const auto again = blocks.take(2 * kMiB);
    std::memset(again.memory, 3, again.bytes);
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(used.memory[0] == std::byte(1));
  blocks.give_back(used);
}

}  // namespace
