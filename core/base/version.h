/* version.h - the version of weft, stated once. */
#ifndef WF_CORE_VERSION_H
#define WF_CORE_VERSION_H

#define WF_VERSION "0.1.0"

#endif
