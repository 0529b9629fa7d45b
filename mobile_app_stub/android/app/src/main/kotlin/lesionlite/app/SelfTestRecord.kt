package lesionlite.app

import android.content.Context
import lesionlite.core.Verdict

/** Stores that this installation passed the self-test, so that it runs at the first start only. */
class SelfTestRecord(context: Context) {
    private val preferences = context.getSharedPreferences("self-test", Context.MODE_PRIVATE)

    // A new model always comes with a new installation.
    private val installed =
        context.packageManager.getPackageInfo(context.packageName, 0).lastUpdateTime.toString()

    fun read(): Verdict? =
        preferences.getString(installed, null)?.let { Verdict(passed = true, it.toDouble()) }

    /** A failure is not stored, so the next start tests again. */
    fun write(verdict: Verdict) {
        val editor = preferences.edit().clear()
        if (verdict.passed) editor.putString(installed, verdict.largest.toString())
        editor.apply()
    }
}
