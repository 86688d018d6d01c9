#pragma once

#include <deque>
#include <vector>

namespace veloz {

/// Hands out objects with stable addresses and reuses those given back.
template <class T>
class Pool {
 public:
  /// A fresh object, or one given back, as that left it.
  T& take() {
    if (free_.empty()) {
      return storage_.emplace_back();
    }
    T& object = *free_.back();
    free_.pop_back();
    return object;
  }
  void give_back(T& object) {
    free_.push_back(&object);
  }

 private:
  std::deque<T> storage_;
  std::vector<T*> free_;
};

}  // namespace veloz
