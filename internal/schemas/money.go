package schemas

import (
	"fmt"
	"slices"

	"github.com/bojanz/currency"
)

// byDigits groups the currencies by the number of their decimals.
func byDigits() (digits []int, codes map[int][]string) {
	codes = map[int][]string{}
	for _, code := range currency.GetCurrencyCodes() {
		if d, ok := currency.GetDigits(code); ok {
			codes[int(d)] = append(codes[int(d)], code)
		}
	}
	for d := range codes {
		slices.Sort(codes[d])
		digits = append(digits, d)
	}
	slices.Sort(digits)
	return digits, codes
}

// currencyDefs returns definitions of the currencies by decimals, and of the form of
// their amounts.
func currencyDefs() object {
	var defs object
	digits, codes := byDigits()
	for _, d := range digits {
		decimals := `^[0-9]+$`
		if d > 0 {
			decimals = fmt.Sprintf(`^[0-9]+(\.[0-9]{1,%d})?$`, d)
		}
		defs = defs.with(
			currencyDef(d), obj("description", fmt.Sprintf("ISO 4217 codes of currencies with %d decimals", d), "enum", codes[d]),
			decimalsDef(d), obj("anyOf", []any{obj("pattern", decimals), obj("pattern", blankPattern())}),
		)
	}
	return defs
}

func currencyDef(d int) string { return fmt.Sprintf("currency_%d", d) }
func decimalsDef(d int) string { return fmt.Sprintf("decimals_%d", d) }

func ref(def string) object { return obj("$ref", "#/$defs/"+def) }

func currencySchema() object {
	var any []object
	digits, _ := byDigits()
	for _, d := range digits {
		any = append(any, ref(currencyDef(d)))
	}
	return obj("type", "string", "anyOf", any)
}

func amountSchema() object {
	return obj("type", "string", "pattern", amountPattern, "not", obj("pattern", zeroPattern))
}

// decimalsRules returns rules that limit the decimals of members by the currency.
func decimalsRules(members ...string) []object {
	var rules []object
	digits, _ := byDigits()
	for _, d := range digits {
		var then object
		for _, name := range members {
			then = then.with(name, ref(decimalsDef(d)))
		}
		rules = append(rules, obj(
			"if", obj("required", []string{"currency"}, "properties", obj("currency", ref(currencyDef(d)))),
			"then", obj("properties", then),
		))
	}
	return rules
}
