// JPEGs for the virtual sensor: a folder, a file of concatenated JPEGs, or any video by way of ffmpeg.
#pragma once

#include <stdint.h>
#include <stdio.h>

#include <memory>
#include <string>
#include <vector>

namespace magicpi {

class FrameSource {
 public:
  /// Throws nothing; `error` says why when nullptr is returned.
  static std::unique_ptr<FrameSource> open(const std::string& path, std::string* error);
  ~FrameSource();
  /// Next JPEG, from the beginning again after the last; false if there is none.
  bool next(std::vector<uint8_t>* jpeg, std::string* name);

 private:
  FrameSource() = default;
  bool next_from_pipe(std::vector<uint8_t>* jpeg);
  std::vector<std::string> files_;
  std::vector<uint8_t> whole_;       // of a concatenated file
  std::vector<std::pair<size_t, size_t>> pieces_;
  std::string video_;
  FILE* pipe_ = nullptr;
  std::vector<uint8_t> pending_;
  size_t at_ = 0;
};

}  // namespace magicpi
