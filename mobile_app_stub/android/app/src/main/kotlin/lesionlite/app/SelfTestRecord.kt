package lesionlite.app

import android.content.Context
import lesionlite.core.Verdict

/** The self-test that this installation passed, so that it is run at the first start only. */
class SelfTestRecord(context: Context) {
    private val preferences = context.getSharedPreferences("self-test", Context.MODE_PRIVATE)

    // Another model comes with another installation.
    private val installed =
        context.packageManager.getPackageInfo(context.packageName, 0).lastUpdateTime.toString()

    fun read(): Verdict? =
        preferences.getString(installed, null)?.let { Verdict(passed = true, it.toDouble()) }

    /** A failure is not kept: the next start tries again. */
    fun write(verdict: Verdict) {
        val editor = preferences.edit().clear()
        if (verdict.passed) editor.putString(installed, verdict.largest.toString())
        editor.apply()
    }
}
