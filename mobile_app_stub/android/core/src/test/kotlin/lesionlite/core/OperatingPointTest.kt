package lesionlite.core

import kotlin.math.ln
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith

private fun contract(more: String) = Contract.parse(
    """{"labels": ["a", "b"], "side": 64, "resize": "squash", "resize_side": 64,
    "interpolation": "bilinear", "antialias": true, "unsure_below": 0.5, "version": 1$more}"""
)

class OperatingPointTest {
    @Test
    fun `a contract that was not adjusted reckons with training's shares`() {
        assertEquals(listOf(0.25, 0.75), contract(""", "prior": [0.25, 0.75]""").expectedShares())
        assertEquals(emptyList(), contract("").expectedShares())
    }

    @Test
    fun `an adjusted contract reckons with other shares`() {
        val shifts = "[${ln(0.5 / 0.25)}, ${ln(0.5 / 0.75)}]"
        val both = contract(""", "prior": [0.25, 0.75], "logit_adjustment": $shifts""")
        both.expectedShares().forEach { assertEquals(0.5, it, absoluteTolerance = 1e-9) }
        assertEquals(emptyList(), contract(""", "logit_adjustment": $shifts""").expectedShares())
    }

    @Test
    fun `shares that do not fit the labels are refused`() {
        for (field in listOf("prior", "logit_adjustment")) {
            for (value in listOf("[1]", "[1, null]", "[1, null, 1]", "[1, \"x\"]", "1", "{}")) {
                val refused = assertFailsWith<Problem>(value) { contract(""", "$field": $value""") }
                assertContains(refused.message, field)
            }
        }
    }

    @Test
    fun `photos are sampled where a phone has little memory`() {
        val large = 1L shl 30
        assertEquals(1, sampleSize(8000, 4000, large))
        assertEquals(2, sampleSize(8001, 4000, large))
        assertEquals(4, sampleSize(16_000, 12_000, large)) // 12 megapixels are left
        assertEquals(2, sampleSize(4000, 3000, 64L shl 20)) // the bitmap would take 48 of 64 MB
        assertEquals(1, sampleSize(1, 1, large))
    }
}
