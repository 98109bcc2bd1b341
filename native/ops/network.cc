#include "network.h"

#include <linux/fcntl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <string.h>

#include "namespaces.h"
#include "process.h"

namespace runts {

namespace {

constexpr int kNetlink = 16, kRaw = 3, kAddressesMax = 256, kAddressBytes = 16;
constexpr long kSocketNamespace = 0x894c;  // SIOCGSKNS
// What may be asked of a new address; the rest of the flags are the kernel's to set.
constexpr uint32_t kAddressFlags = IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE;

struct Address {
  ifaddrmsg head;
  uint32_t flags;
  uint8_t size[4];  // of IFA_ADDRESS, IFA_LOCAL, and IFA_BROADCAST (number 4, in the first place)
  uint8_t value[4][kAddressBytes];
};
Address addresses[kAddressesMax];
alignas(8) uint8_t answer[32 << 10];

// A request of rtnetlink, with room for a few attributes.
struct Request {
  nlmsghdr head = {};
  alignas(4) uint8_t body[256] = {};

  Request(uint16_t type, uint16_t flags) {
    head.nlmsg_len = sizeof head;
    head.nlmsg_type = type;
    head.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  }
  void add(const void* bytes, size_t size) {
    memcpy(body + (head.nlmsg_len - sizeof head), bytes, size);
    head.nlmsg_len += static_cast<uint32_t>((size + 3) & ~size_t{3});
  }
  void attribute(uint16_t type, const void* value, size_t size) {
    rtattr attribute = {static_cast<uint16_t>(sizeof attribute + size), type};
    add(&attribute, sizeof attribute);
    add(value, size);
  }
};
static_assert(sizeof(nlmsghdr) == 16 && offsetof(Request, body) == 16, "the kernel's layout");

int open_netlink(Where& at) {
  return check(at, kStepSocket, sys(__NR_socket, kNetlink, kRaw | O_CLOEXEC /* SOCK_CLOEXEC */, NETLINK_ROUTE));
}

long receive(int socket) {
  long n;
  do n = sys(__NR_recvfrom, socket, answer, sizeof answer, 0, nullptr, nullptr);
  while (n == -EINTR);
  return n;
}

// Sends a request and waits for what the kernel says of it.
int ask(Where& at, int socket, Request& request) {
  request.head.nlmsg_flags |= NLM_F_ACK;
  long n = sys(__NR_sendto, socket, &request, request.head.nlmsg_len, 0, nullptr, 0);
  if (n >= 0) n = receive(socket);
  if (n < 0) return check(at, kStepNetlink, n);
  auto* head = reinterpret_cast<const nlmsghdr*>(answer);
  if (static_cast<size_t>(n) < sizeof *head + sizeof(int) || head->nlmsg_type != NLMSG_ERROR) {
    return check(at, kStepNetlink, -EBADMSG);
  }
  int error;
  memcpy(&error, head + 1, sizeof error);
  bool is_errno = error <= 0 && error >= -4095;  // MAX_ERRNO of the kernel
  return check(at, kStepNetlink, is_errno ? error : -EBADMSG);
}

// Calls use(attribute number, value, size) for each attribute in `size` bytes.
template <class Use>
void each_attribute(const uint8_t* bytes, size_t size, Use use) {
  rtattr attribute;
  while (size >= sizeof attribute) {
    memcpy(&attribute, bytes, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > size) return;
    use(attribute.rta_type, bytes + sizeof attribute, attribute.rta_len - sizeof attribute);
    size_t step = (attribute.rta_len + size_t{3}) & ~size_t{3};
    if (step >= size) return;
    bytes += step;
    size -= step;
  }
}

// Notes an address of a device, if it is one that goes along: permanent, and of global scope.
bool note(const nlmsghdr* message, uint32_t index, int* count) {
  Address found = {};
  auto* body = reinterpret_cast<const uint8_t*>(message + 1);
  size_t size = message->nlmsg_len - sizeof *message;
  if (size < sizeof found.head) return true;
  memcpy(&found.head, body, sizeof found.head);
  found.flags = found.head.ifa_flags;
  each_attribute(body + sizeof found.head, size - sizeof found.head, [&](int type, const uint8_t* value, size_t length) {
    if (type == IFA_FLAGS && length == sizeof found.flags) memcpy(&found.flags, value, length);
    if (type != IFA_ADDRESS && type != IFA_LOCAL && type != IFA_BROADCAST) return;
    if (length > kAddressBytes) return;
    found.size[type % 4] = static_cast<uint8_t>(length);
    memcpy(found.value[type % 4], value, length);
  });
  bool goes = found.head.ifa_index == index && found.head.ifa_scope == RT_SCOPE_UNIVERSE && found.flags & IFA_F_PERMANENT;
  if (!goes) return true;
  if (*count == kAddressesMax) return false;
  addresses[(*count)++] = found;
  return true;
}

// Reads the addresses of a device. Returns how many there are.
int read_addresses(Where& at, int socket, uint32_t index) {
  Request request(RTM_GETADDR, NLM_F_DUMP);
  ifaddrmsg all = {};
  request.add(&all, sizeof all);
  long n = sys(__NR_sendto, socket, &request, request.head.nlmsg_len, 0, nullptr, 0);
  int count = 0;
  while (n >= 0) {
    n = receive(socket);
    for (long at_byte = 0; n - at_byte >= static_cast<long>(sizeof(nlmsghdr));) {
      auto* message = reinterpret_cast<const nlmsghdr*>(answer + at_byte);
      if (message->nlmsg_len < sizeof *message || message->nlmsg_len > n - at_byte) break;
      if (message->nlmsg_type == NLMSG_DONE) return count;
      if (message->nlmsg_type == NLMSG_ERROR) return check(at, kStepNetlink, -EIO);
      if (message->nlmsg_type == RTM_NEWADDR && !note(message, index, &count)) return check(at, kStepNetlink, -E2BIG);
      at_byte += (message->nlmsg_len + 3) & ~3u;
    }
  }
  return check(at, kStepNetlink, n);
}

// Whether a device may have this name. The kernel says so, too, but only once the device has moved; and it takes % for a
// number to fill in.
bool is_name(const char* name) {
  bool dots = name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
  for (const char* c = name; *c; c++) {
    auto byte = static_cast<uint8_t>(*c);
    if (byte == '/' || byte == ':' || byte == '%' || byte <= ' ' || byte == 0xa0) return false;  // 0xa0: a space, to it
  }
  return *name && !dots;
}

// The number of a device in the namespace of a socket; -ENODEV where there is none.
int index_of(Where& at, int socket, const char* name) {
  struct ifreq request = {};
  if (strlen(name) >= sizeof request.ifr_name) return check(at, kStepIoctl, -ENAMETOOLONG);
  memcpy(request.ifr_name, name, strlen(name));
  int r = check(at, kStepIoctl, sys(__NR_ioctl, socket, SIOCGIFINDEX, &request));
  if (r < 0) return r;
  return request.ifr_ifindex > 0 ? request.ifr_ifindex : check(at, kStepIoctl, -ENODEV);
}

int move_device(Where& at, int socket, int index, int netns, const char* rename) {
  Request request(RTM_SETLINK, 0);
  ifinfomsg link = {};
  link.ifi_index = index;
  request.add(&link, sizeof link);
  request.attribute(IFLA_NET_NS_FD, &netns, sizeof netns);
  request.attribute(IFLA_IFNAME, rename, strlen(rename) + 1);
  return ask(at, socket, request);
}

int add_address(Where& at, int socket, int index, const Address& address) {
  Request request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  ifaddrmsg head = address.head;
  head.ifa_index = static_cast<uint32_t>(index);
  head.ifa_flags = 0;
  request.add(&head, sizeof head);
  const uint16_t types[] = {IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST};
  for (uint16_t type : types) {
    if (address.size[type % 4]) request.attribute(type, address.value[type % 4], address.size[type % 4]);
  }
  uint32_t flags = address.flags & kAddressFlags;
  request.attribute(IFA_FLAGS, &flags, sizeof flags);
  int r = ask(at, socket, request);
  return r == -EEXIST ? 0 : r;
}

// In the namespace that we have joined: the way there and what is to be done there.
int set_up(Where& at, int ours, int name_index, int netns, const char* rename, int count) {
  Fd theirs(open_netlink(at));
  if (!theirs.ok()) return theirs.get();
  // The kernel renames after the move, and a device that cannot get its name would be gone from here.
  int index = index_of(at, theirs.get(), rename);
  if (index >= 0) return check(at, kStepNetlink, -EEXIST);
  if (index != -ENODEV) return index;
  int r = move_device(at, ours, name_index, netns, rename);
  if (r >= 0) r = index = index_of(at, theirs.get(), rename);
  for (int i = 0; i < count && r >= 0; i++) r = add_address(at, theirs.get(), index, addresses[i]);
  return r < 0 ? r : link_up(at, rename);
}

}  // namespace

int move_net_device(Where& at, const char* name, int netns, const char* rename) {
  if (!is_name(rename)) return check(at, kStepNetlink, rename, -EINVAL);
  at.detail = name;
  Fd ours(open_netlink(at));
  if (!ours.ok()) return ours.get();
  int index = index_of(at, ours.get(), name);
  if (index < 0) return index;
  int count = read_addresses(at, ours.get(), static_cast<uint32_t>(index));
  if (count < 0) return count;
  Fd here(check(at, kStepIoctl, sys(__NR_ioctl, ours.get(), kSocketNamespace, 0)));
  if (!here.ok()) return here.get();
  int r = set_namespace(at, netns, CLONE_NEWNET);
  if (r < 0) return r;
  at.detail = rename;
  int done = set_up(at, ours.get(), index, netns, rename, count);
  // Ours again, for the next device.
  Where back;
  r = set_namespace(back, here.get(), CLONE_NEWNET);
  if (done >= 0 && r < 0) at = back;
  return done < 0 ? done : r;
}

}  // namespace runts
