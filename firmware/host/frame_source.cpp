#include "frame_source.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <algorithm>

namespace magicpi {

namespace {

bool read_file(const std::string& path, std::vector<uint8_t>* out) {
  FILE* f = fopen(path.c_str(), "rbe");
  if (!f) return false;
  out->clear();
  uint8_t block[65536];
  for (size_t n = 0; (n = fread(block, 1, sizeof block, f)) > 0;) out->insert(out->end(), block, block + n);
  fclose(f);
  return !out->empty();
}

bool has_suffix(const std::string& s, const char* suffix) {
  const size_t n = strlen(suffix);
  return s.size() > n && strcasecmp(s.c_str() + s.size() - n, suffix) == 0;
}

/// End of the JPEG that starts at `from`: one past its EOI, 0 if not there yet. FFD9 cannot stand in entropy-coded data,
/// but can in a thumbnail's; sources with thumbnails are better given as a folder.
size_t jpeg_end(const std::vector<uint8_t>& b, size_t from) {
  for (size_t i = from + 2; i + 1 < b.size(); ++i) {
    if (b[i] == 0xff && b[i + 1] == 0xd9) return i + 2;
  }
  return 0;
}

}  // namespace

std::unique_ptr<FrameSource> FrameSource::open(const std::string& path, std::string* error) {
  std::unique_ptr<FrameSource> s(new FrameSource);
  struct stat st;
  if (path.empty() || stat(path.c_str(), &st) != 0) {
    *error = "no such source: " + path;
    return nullptr;
  }
  if (S_ISDIR(st.st_mode)) {
    if (DIR* d = opendir(path.c_str())) {
      while (const dirent* e = readdir(d)) {
        const std::string name = e->d_name;
        if (has_suffix(name, ".jpg") || has_suffix(name, ".jpeg")) s->files_.push_back(path + "/" + name);
      }
      closedir(d);
    }
    std::sort(s->files_.begin(), s->files_.end());
    if (s->files_.empty()) {
      *error = "no .jpg in " + path;
      return nullptr;
    }
  } else if (has_suffix(path, ".mjpeg") || has_suffix(path, ".mjpg") || has_suffix(path, ".jpg")) {
    read_file(path, &s->whole_);
    for (size_t at = 0; at + 4 < s->whole_.size();) {
      const size_t end = s->whole_[at] == 0xff && s->whole_[at + 1] == 0xd8 ? jpeg_end(s->whole_, at) : 0;
      if (!end) {
        ++at;
        continue;
      }
      s->pieces_.emplace_back(at, end - at);
      at = end;
    }
    if (s->pieces_.empty()) {
      *error = "no JPEG in " + path;
      return nullptr;
    }
  } else {
    s->video_ = path;
  }
  return s;
}

FrameSource::~FrameSource() {
  if (pipe_) pclose(pipe_);
}

bool FrameSource::next_from_pipe(std::vector<uint8_t>* jpeg) {
  for (int restarts = 0; restarts < 2;) {
    if (!pipe_) {
      std::string quoted = "'";
      for (char c : video_) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
      quoted += "'";
      pipe_ = popen(("exec ffmpeg -nostdin -loglevel error -i " + quoted + " -f image2pipe -c:v mjpeg -q:v 4 -").c_str(), "re");
      if (!pipe_) return false;
      pending_.clear();
    }
    for (;;) {
      const size_t end = pending_.size() > 4 ? jpeg_end(pending_, 0) : 0;
      if (end) {
        jpeg->assign(pending_.begin(), pending_.begin() + static_cast<long>(end));
        pending_.erase(pending_.begin(), pending_.begin() + static_cast<long>(end));
        return true;
      }
      uint8_t block[32768];
      const size_t n = fread(block, 1, sizeof block, pipe_);
      if (n == 0) break;
      pending_.insert(pending_.end(), block, block + n);
    }
    pclose(pipe_);
    pipe_ = nullptr;
    ++restarts;
  }
  return false;
}

bool FrameSource::next(std::vector<uint8_t>* jpeg, std::string* name) {
  if (!video_.empty()) {
    *name = "#" + std::to_string(at_++);
    return next_from_pipe(jpeg);
  }
  if (!pieces_.empty()) {
    const auto& piece = pieces_[at_ % pieces_.size()];
    *name = "#" + std::to_string(at_++ % pieces_.size());
    jpeg->assign(whole_.begin() + static_cast<long>(piece.first), whole_.begin() + static_cast<long>(piece.first + piece.second));
    return true;
  }
  const std::string& file = files_[at_++ % files_.size()];
  *name = file.substr(file.rfind('/') + 1);
  return read_file(file, jpeg);
}

}  // namespace magicpi
