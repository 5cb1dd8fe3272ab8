#include "portal.h"

#include <initializer_list>
#include <stdio.h>
#include <string.h>

#include "../core/camera.h"
#include "../core/crypto.h"
#include "../core/qr.h"
#include "wifi_radio.h"

namespace magicpi {

namespace {

constexpr char kHome[] = "http://4.3.2.1/";
constexpr uint32_t kChosenMs = 700;      // the browser shows the answer before its network goes away

constexpr char kTop[] =
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>"
    "<title>MagicPi camera</title><style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:26em;"
    "margin:0 auto;padding:1.5em 1em}h1{font-size:1.4em;margin:0}code{display:block;font-size:1.45em;font-weight:600;"
    "letter-spacing:.04em;padding:.5em;margin:.4em 0;border:1px solid #8888;border-radius:.5em;text-align:center;"
    "user-select:all}label{display:block;margin:.8em 0 .2em}input,button{font:inherit;width:100%;box-sizing:border-box;"
    "padding:.6em;border:1px solid #8888;border-radius:.5em}button{margin-top:1.2em;background:#0b6bcb;color:#fff;border:0}"
    "ul{list-style:none;padding:0;margin:.5em 0}li button{background:none;color:inherit;text-align:left;margin:.15em 0;"
    "border:1px solid #8884}small{opacity:.7}</style><h1>MagicPi camera</h1>";

constexpr char kForm[] =
    "<h2>1. Wi-Fi</h2><form method=post action=/wifi><ul id=n><li><small>Looking for networks...</small></ul>"
    "<label for=s>Network</label><input id=s name=ssid maxlength=32 required autocapitalize=off autocomplete=off>"
    "<label for=p>Password</label><input id=p name=password type=password maxlength=64 autocomplete=off>"
    "<button>Connect</button></form><script>let k=0;async function f(){try{let r=await(await fetch('/scan')).json(),"
    "a=[...r.secured,...r.open.map(x=>x+' (open)')];if(!a.length&&k++<6)return setTimeout(f,1500);"
    "let u=document.getElementById('n');u.textContent='';a.forEach((x,i)=>{let b=document.createElement('button');"
    "b.type='button';b.textContent=x;b.onclick=()=>{s.value=i<r.secured.length?x:r.open[i-r.secured.length];p.focus()};"
    "let l=document.createElement('li');l.append(b);u.append(l)})}catch(e){}}f()"
    "</script>";

/// Appends to a bounded reply; what does not fit is left out.
class Text {
 public:
  explicit Text(HttpReply& reply) : reply_(reply) {}
  Text& raw(const char* s) {
    const size_t n = strlen(s);
    if (n <= reply_.cap - reply_.length) {
      memcpy(reply_.body + reply_.length, s, n);
      reply_.length += n;
    }
    return *this;
  }
  Text& html(const char* s) {
    for (; *s; ++s) {
      char one[2] = {*s, 0};
      raw(*s == '<' ? "&lt;" : *s == '&' ? "&amp;" : *s == '"' ? "&quot;" : *s == '\'' ? "&#39;" : one);
    }
    return *this;
  }

 private:
  HttpReply& reply_;
};

/// Some probes want a page with the redirect and take an empty one for a broken network.
void lead_home(HttpReply& reply) {
  reply.status = 302;
  reply.location = kHome;
  reply.type = "text/html; charset=utf-8";
  Text(reply).raw("<!doctype html><title>MagicPi camera</title><a href='").raw(kHome).raw("'>Set up the camera</a>");
}

/// The link as a picture for another device, and as itself for this one. Each row is one stroke with gaps.
void qr(Text& text, const char* id, const char* code) {
  char link[128];
  QrCode picture;
  if (!setup_link(id, code, link, sizeof link) || !picture.encode(link)) return;
  text.raw("<p>Or scan this with the device on which you use Home Assistant, and paste the link where it asks for the code.</p>"
           "<svg xmlns='http://www.w3.org/2000/svg' viewBox='-4 -4 49 49' role=img aria-label='Link with the setup code' "
           "style='width:100%;max-width:16em;display:block;margin:auto;background:#fff'><path stroke=#000 d='");
  for (int y = 0; y < QrCode::kSize; ++y) {
    char number[24];
    snprintf(number, sizeof number, "M0 %d.5", y);
    text.raw(number);
    for (int x = 0, from = 0; x <= QrCode::kSize; ++x) {
      // A run ends where the color changes.
      if (x < QrCode::kSize && x > from && picture.dark(x, y) == picture.dark(from, y)) continue;
      if (x == from) continue;
      snprintf(number, sizeof number, picture.dark(from, y) ? "h%d" : "m%d 0", x - from);
      text.raw(number);
      from = x;
    }
  }
  text.raw("'/></svg><p><a href='").html(link).raw("'>Add it in Home Assistant</a></p>");
  wipe(link, sizeof link);
}

bool equals(const char* a, const char* b) { return strcmp(a, b) == 0; }

/// An address, or a name of the local network: any other name could be a web page's trick to read the setup code.
bool local_host(const char* host) {
  const size_t n = strlen(host);
  if (strspn(host, "0123456789.") == n) return true;
  return n > 6 && equals(host + n - 6, ".local");
}

}  // namespace

void Portal::open(bool access_point) {
  close();
  access_point_ = access_point;
  open_ = server_.open(http_port_, handle, this);
  if (access_point) {
    dns_.open(dns_port_, kPortalAddress);
    radio_.scan(false);
  }
}

void Portal::close() {
  server_.close();
  dns_.close();
  open_ = chosen_ = false;
  wipe(password_, sizeof password_);
}

void Portal::poll(uint64_t now_ms) {
  if (!open_) return;
  now_ms_ = now_ms;
  server_.poll(now_ms);
  dns_.poll();
  if (!chosen_ || now_ms - chosen_ms_ < kChosenMs || !server_.idle()) return;
  chosen_ = false;
  // Closes this portal before it returns.
  char password[sizeof password_];
  memcpy(password, password_, sizeof password);
  camera_->set_wifi(ssid_, password);
  wipe(password, sizeof password);
}

void Portal::handle(void* self, const HttpQuery& query, HttpReply& reply) {
  static_cast<Portal*>(self)->respond(query, reply);
}

void Portal::respond(const HttpQuery& query, HttpReply& reply) {
  const bool get = equals(query.method, "GET");
  const bool post = equals(query.method, "POST");
  if (equals(query.path, "/setup") && (get || post)) {
    reply.type = "application/json";
    if (get) {
      reply.status = camera_->setup_get(reply.body, reply.cap);
      reply.length = strlen(reply.body);
    } else {
      reply.status = camera_->setup_post(query.body, query.body_length);
      if (reply.status == 429) reply.retry_after_s = SetupEndpoint::kLockMs / 1000;
    }
    if (reply.status >= 400) {
      const char* slug = reply.status == 400 ? "malformed" : reply.status == 403 ? "wrong_code"
                         : reply.status == 409 ? "claimed" : reply.status == 410 ? "stale_nonce"
                         : reply.status == 429 ? "locked" : "internal";
      reply.length = static_cast<size_t>(snprintf(reply.body, reply.cap, "{\"error\":\"%s\"}", slug));
    }
    return;
  }
  if (!local_host(query.host)) {
    // A phone or computer that asks whether there is internet, by a name of its maker, is led to the page.
    if (access_point_) lead_home(reply);
    else reply.status = 403;
    return;
  }
  if (equals(query.path, "/") && get) {
    page(reply);
  } else if (access_point_ && equals(query.path, "/scan") && get) {
    scan(reply);
  } else if (access_point_ && equals(query.path, "/wifi") && post) {
    choose_wifi(query, reply);
  } else {
    if (access_point_ && get) lead_home(reply);
    else reply.status = 404;
  }
}

void Portal::page(HttpReply& reply) {
  reply.type = "text/html; charset=utf-8";
  const Identity& identity = camera_->identity();
  Text text(reply);
  text.raw(kTop).raw("<small>").html(identity.model).raw("<br>").html(identity.id).raw(", version ").html(identity.fw);
  text.raw("</small>");
  if (access_point_) text.raw(kForm).raw("<h2>2. Home Assistant</h2>");
  if (camera_->claimed()) {
    text.raw("<p>This camera belongs to a Home Assistant. It goes back there once it has Wi-Fi.</p>");
  } else {
    text.raw("<p>Settings, Devices &amp; services, and the camera that Home Assistant found there. Setup code:</p><code>");
    text.html(camera_->setup_code()).raw("</code>");
    qr(text, identity.id, camera_->setup_code());
  }
  text.raw("</html>");
}

void Portal::scan(HttpReply& reply) {
  reply.type = "application/json";
  static Network networks[WifiRadio::kNetworks];
  const size_t n = radio_.networks(networks, WifiRadio::kNetworks);
  json::Writer w(reply.body, reply.cap);
  w.begin();
  for (const bool secured : {true, false}) {
    w.begin_array(secured ? "secured" : "open");
    for (size_t i = 0; i < n; ++i) {
      if (networks[i].secured == secured) w.element(networks[i].ssid);
    }
    w.end_array();
  }
  w.end();
  reply.length = w.finish();
  if (n == 0) radio_.scan(false);
}

void Portal::choose_wifi(const HttpQuery& query, HttpReply& reply) {
  reply.type = "text/html; charset=utf-8";
  Text text(reply);
  char ssid[sizeof ssid_];
  char password[sizeof password_];
  const bool ok = form_value(query.body, "ssid", ssid, sizeof ssid) &&
                  form_value(query.body, "password", password, sizeof password) && wifi_valid(ssid, password);
  text.raw(kTop);
  if (ok) {
    memcpy(ssid_, ssid, sizeof ssid_);
    memcpy(password_, password, sizeof password_);
    chosen_ = true;
    chosen_ms_ = now_ms_;
    text.raw("<h2>Connecting to ").html(ssid_).raw("</h2><p>If it works, this network goes away and Home Assistant finds the "
             "camera. If not, it is back in half a minute: try again with the right password.</p>");
    if (!camera_->claimed()) text.raw("<p>Setup code:</p><code>").html(camera_->setup_code()).raw("</code>");
  } else {
    reply.status = 400;
    text.raw("<p>A password has 8 to 63 characters, or none for an open network.</p><p><a href=/>Back</a></p>");
  }
  text.raw("</html>");
  wipe(password, sizeof password);
}

}  // namespace magicpi
