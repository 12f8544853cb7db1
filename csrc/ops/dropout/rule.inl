// SPDX-License-Identifier: Apache-2.0
// DropoutRule (rule.h) on vectors of any type.
namespace striate {
namespace {

template <class T>
class Rule {
 public:
  explicit Rule(const DropoutRule<T>& r)
      : least_(r.threshold),
        shifts_(r.kept != 0 || r.dropped != 0),
        scale_(broadcast(r.scale)),
        kept_(broadcast(r.kept)),
        dropped_(broadcast(r.dropped)) {}

  // x by the words of its lanes.
  Vec<T> operator()(Vec<T> x, const uint32_t* words) const {
    Mask<T> stays = not_below<T>(words, least_);
    Vec<T> y = x * select(stays, scale_, broadcast(T(0)));
    return shifts_ ? y + select(stays, kept_, dropped_) : y;
  }

 private:
  uint32_t least_;
  bool shifts_;  // adding zeros would cost a zero its sign
  Vec<T> scale_, kept_, dropped_;
};

}  // namespace
}  // namespace striate
