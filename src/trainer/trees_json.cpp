/*
 * trees_json.cpp
 *
 * See trees_json.hpp.
 */
#include "trainer/trees_json.hpp"

#include <charconv>
#include <stdexcept>

namespace wlm::trainer {

namespace {

constexpr int kMostNesting = 64;

class Parser {
  public:
	explicit Parser(std::string_view text) : text_(text) {}

	Json Document()
	{
		Json value = Value(0);
		SkipSpace();
		if (at_ != text_.size())
			Fail();
		return value;
	}

  private:
	[[noreturn]] void Fail() const
	{
		throw std::runtime_error("model of XGBoost is not the JSON that was expected, at byte " + std::to_string(at_));
	}
	void SkipSpace()
	{
		while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
			at_++;
	}
	char Peek()
	{
		SkipSpace();
		if (at_ >= text_.size())
			Fail();
		return text_[at_];
	}
	bool Take(char wanted)
	{
		if (Peek() != wanted)
			return false;
		at_++;
		return true;
	}
	void Need(char wanted)
	{
		if (!Take(wanted))
			Fail();
	}
	void Word(std::string_view word)
	{
		if (text_.substr(at_, word.size()) != word)
			Fail();
		at_ += word.size();
	}

	Json Value(int nesting)
	{
		if (nesting > kMostNesting)
			Fail();
		Json value;
		switch (Peek()) {
			case '{': Object(&value, nesting); break;
			case '[': Array(&value, nesting); break;
			case '"':
				value.kind = Json::Kind::kString;
				value.text = String();
				break;
			case 't': value.kind = Json::Kind::kBool, value.number = 1, Word("true"); break;
			case 'f': value.kind = Json::Kind::kBool, Word("false"); break;
			case 'n': Word("null"); break;
			default:
				value.kind = Json::Kind::kNumber;
				value.number = Number();
		}
		return value;
	}

	float Number()
	{
		float number = 0;
		const std::from_chars_result result = std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
		if (result.ec != std::errc{})
			Fail();
		at_ = static_cast<size_t>(result.ptr - text_.data());
		return number;
	}

	/* Names and parameters of XGBoost are plain: other escapes than of quote and backslash do not occur. */
	std::string String()
	{
		Need('"');
		std::string text;
		while (at_ < text_.size() && text_[at_] != '"') {
			if (text_[at_] == '\\') {
				at_++;
				if (at_ >= text_.size() || (text_[at_] != '"' && text_[at_] != '\\'))
					Fail();
			}
			text += text_[at_++];
		}
		if (at_ >= text_.size())
			Fail();
		at_++;
		return text;
	}

	void Array(Json *value, int nesting)
	{
		value->kind = Json::Kind::kArray;
		Need('[');
		if (Take(']'))
			return;
		const char first = Peek();
		const bool numbers = first == '-' || (first >= '0' && first <= '9');
		do {
			if (numbers) {
				SkipSpace();
				value->numbers.push_back(Number());
			} else {
				value->items.push_back(Value(nesting + 1));
			}
		} while (Take(','));
		Need(']');
	}

	void Object(Json *value, int nesting)
	{
		value->kind = Json::Kind::kObject;
		Need('{');
		if (Take('}'))
			return;
		do {
			SkipSpace();
			std::string name = String();
			Need(':');
			value->members.emplace_back(std::move(name), Value(nesting + 1));
		} while (Take(','));
		Need('}');
	}

	std::string_view text_;
	size_t at_ = 0;
};

}  // namespace

const Json &Json::At(std::string_view name) const
{
	for (const auto &[member, value] : members)
		if (member == name)
			return value;
	throw std::runtime_error("model of XGBoost lacks " + std::string(name));
}

Json ParseJson(std::string_view text) { return Parser(text).Document(); }

}  // namespace wlm::trainer
